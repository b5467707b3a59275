"""The summary page of an archive's run: an HTML file with plots and samples."""

import base64
import html
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pyarrow.compute as pc

from base.errors import GpenEdgeError
from runtime.archive.cluster import rows_of
from runtime.archive.estimate import written_size
from runtime.archive.listing import OWN
from runtime.archive.place import Place
from runtime.archive.status import STAGES
from runtime.photo.reader import read_photo
from runtime.pixels import eight_bit

PAGE = f"{OWN}/summary.html"
SAMPLES = 8
"""Photos that are shown before and after."""
_SHOWN_FAILURES = 50
_WIDTH = 360
"""Pixels of a sample."""
_COLUMNS = (
    *(
        "path",
        "output",
        "outcome",
        "bytes",
        "output_bytes",
        "faces",
        "warnings",
        "look_at",
        "error",
        "seconds",
    ),
    *(f"{stage}_ms" for stage in STAGES),
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222 }
h1, h2 { font-weight: 600 }
table { border-collapse: collapse }
td, th { padding: .2em 1em .2em 0; text-align: left; font-weight: normal }
img { max-width: 100%; height: auto }
.pair img { width: 49% }
figure { margin: 1em 0 }
figcaption { color: #666 }
"""


def write_summary(source: Place, sink: Place) -> dict[str, int]:
    """Write the summary page of all rows in a sink; return the number of photos by outcome.

    Raises PhotoError if it cannot be written.
    """
    rows = rows_of(sink, _COLUMNS)
    counts = {
        str(each["values"]): int(each["counts"]) for each in pc.value_counts(rows["outcome"]).to_pylist()
    }
    body = "\n".join(_parts(rows, counts, source, sink))
    title = f"Archive {source.shown}"
    page = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{html.escape(title)}</h1>\n{body}\n</html>\n"
    )
    sink.write(PAGE, page.encode())
    return counts


def _parts(rows: Any, counts: dict[str, int], source: Place, sink: Place) -> Iterator[str]:
    read, written = pc.sum(rows["bytes"]).as_py() or 0, pc.sum(rows["output_bytes"]).as_py() or 0
    facts = {
        "photos": rows.num_rows,
        **dict(sorted(counts.items())),
        "faces": pc.sum(rows["faces"]).as_py() or 0,
        "to look at": int(pc.sum(pc.greater(pc.list_value_length(rows["look_at"]), 0)).as_py() or 0),
        "read": written_size(read),
        "written": written_size(written),
        "seconds of actors": f"{pc.sum(rows['seconds']).as_py() or 0:.0f}",
    }
    lines = (f"<tr><th>{html.escape(str(name))}<td>{value}" for name, value in facts.items())
    yield f"<table>{''.join(lines)}</table>"
    for title, picture in _plots(rows):
        yield f"<h2>{title}</h2>\n{picture}"
    yield "<h2>Samples</h2>"
    yield from _samples(rows, source, sink)
    failed = rows.filter(pc.equal(rows["outcome"], "failed"))
    if failed.num_rows:
        more = f", the first {_SHOWN_FAILURES}" if failed.num_rows > _SHOWN_FAILURES else ""
        yield f"<h2>Failed: {failed.num_rows}{more}</h2>\n<ul>"
        for error in failed["error"].slice(0, _SHOWN_FAILURES).to_pylist():
            yield f"<li>{html.escape(str(error))}"
        yield "</ul>"


def _plots(rows: Any) -> Iterator[tuple[str, str]]:
    seconds = rows["seconds"].to_numpy()
    seconds = seconds[np.isfinite(seconds)]
    most = float(np.percentile(seconds, 99)) if len(seconds) else 1.0
    yield "Seconds a photo takes its actor", _histogram(np.clip(seconds, 0, most), 40, "seconds", "photos")
    stages = {stage: pc.mean(rows[f"{stage}_ms"]).as_py() for stage in STAGES}
    yield "Stages", _bars({name: value for name, value in stages.items() if value}, "milliseconds, mean")
    faces = pc.drop_null(rows["faces"].combine_chunks()).to_numpy()
    by_faces = {str(n): int((faces == n).sum()) for n in range(10)} | {"10+": int((faces >= 10).sum())}
    yield "Faces in a photo", _bars(by_faces, "photos")
    kinds = pc.value_counts(pc.list_flatten(rows["warnings"])).to_pylist()
    if kinds:
        yield "Warnings", _bars({str(each["values"]): int(each["counts"]) for each in kinds}, "photos")


def _histogram(values: Any, bins: int, along: str, up: str) -> str:
    figure, axes = _figure(3.0)
    axes.hist(values, bins=bins, color="#4477aa")
    axes.set_xlabel(along)
    axes.set_ylabel(up)
    return _picture(figure)


def _bars(values: Mapping[str, float], along: str) -> str:
    figure, axes = _figure(0.8 + 0.3 * len(values))
    axes.barh(list(values), list(values.values()), color="#4477aa")
    axes.invert_yaxis()
    axes.set_xlabel(along)
    return _picture(figure)


def _figure(height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _picture(figure: Any) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def _samples(rows: Any, source: Place, sink: Place) -> Iterator[str]:
    """Yield photos before and after; half of them are ones that a person should check, if there are any."""
    restored = rows.filter(pc.equal(rows["outcome"], "restored"))
    marked = pc.greater(pc.list_value_length(restored["look_at"]), 0)
    doubtful, plain = restored.filter(marked), restored.filter(pc.invert(marked))
    chosen = [*_spread(doubtful, SAMPLES // 2)]
    chosen += _spread(plain, SAMPLES - len(chosen))
    if not chosen:
        yield "<p>None was restored."
    for row in chosen:
        try:
            before, after = _thumbnail(source.read(row["path"])), _thumbnail(sink.read(row["output"]))
        except GpenEdgeError:  # removed or replaced in the meantime
            continue
        note = ", ".join(row["look_at"]) or "no warning to look at"
        yield (
            f'<figure class="pair">{before} {after}'
            f"<figcaption>{html.escape(row['path'])}: {html.escape(note)}</figcaption></figure>"
        )


def _spread(rows: Any, count: int) -> Sequence[dict[str, Any]]:
    """Return rows that are spread evenly over a table."""
    columns = rows.select(["path", "output", "look_at"])
    places = {int((i + 0.5) * rows.num_rows / count) for i in range(count)} if rows.num_rows else set()
    return [columns.slice(place, 1).to_pylist()[0] for place in sorted(places)]


def _thumbnail(content: bytes) -> str:
    pixels = eight_bit(read_photo(content, accept_damaged=True).pixels)
    height = max(1, round(pixels.shape[0] * _WIDTH / pixels.shape[1]))
    small = cv2.resize(pixels, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}">'
