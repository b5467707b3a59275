"""The log on standard error: a line of text or JSON for each event, never the content of a photo."""

import logging
import sys
from datetime import datetime, timezone
from typing import Any, Literal

import msgspec

LogFormat = Literal["text", "json"]


class Log:
    """Called with the name of an event, a sentence, and fields."""

    def __init__(self, form: LogFormat) -> None:
        handler = _Handler(sys.stderr)
        handler.setFormatter(_Json() if form == "json" else logging.Formatter("%(asctime)s %(message)s"))
        self._logger = logging.Logger("gpen-edge.watch", logging.INFO)
        self._logger.addHandler(handler)

    def __call__(self, event: str, sentence: str, *, level: int = logging.INFO, **fields: Any) -> None:
        """Write a line: the sentence as text; the event, the sentence and the fields as JSON."""
        self._logger.log(level, "%s", sentence, extra={"event": event, "fields": fields})


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # Python 3.10 has no such argument
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Lose a line that cannot be written: there is no standard error, the disk is full, nobody reads
        it, or the process is ending."""
        if not (isinstance(sys.exc_info()[1], OSError) or self.stream is None or self.stream.closed):
            super().handleError(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "message"),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return msgspec.json.encode(line).decode()
