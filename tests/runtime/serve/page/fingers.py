"""Fingers on a touch screen."""

from collections.abc import Sequence
from typing import Any

Point = tuple[float, float]

_REST = 120
"""Milliseconds until fingers are lifted; what moves when it is let go is flung, and the next tap stops it."""


class Fingers:
    """Fingers that are put down, moved and lifted; Playwright itself can only tap."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._session = page.context.new_cdp_session(page)

    def drag(self, start: Point, end: Point) -> None:
        """Move one finger."""
        self.move([start], [end])

    def pinch(self, middle: Point, before: float, after: float) -> None:
        """Move two fingers beside a point, from one distance to another."""
        x, y = middle
        self.move(*([(x - apart / 2, y), (x + apart / 2, y)] for apart in (before, after)))

    def move(self, start: Sequence[Point], end: Sequence[Point], steps: int = 5) -> None:
        """Put fingers down, move them in straight lines, and lift them."""
        self._send("touchStart", start)
        for step in range(1, steps + 1):
            share = step / steps
            pairs = zip(start, end, strict=True)
            self._send(
                "touchMove",
                [(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share) for (x0, y0), (x1, y1) in pairs],
            )
        self._page.wait_for_timeout(_REST)
        self._send("touchEnd", [])

    def _send(self, kind: str, points: Sequence[Point]) -> None:
        touches = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


def middle(element: Any, x: float = 0.5, y: float = 0.5) -> Point:
    """Return a point of an element on the screen; shares of its width and height."""
    box = element.bounding_box()
    return box["x"] + box["width"] * x, box["y"] + box["height"] * y
