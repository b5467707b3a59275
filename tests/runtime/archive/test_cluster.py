"""What Ray's actors do with a block, and what becomes of their errors; without Ray's processes."""

import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from base.errors import PhotoError
from runtime.archive.listing import Listed
from runtime.archive.place import Place, place_of
from runtime.archive.status import Row
from runtime.archive.worker import Work
from tests.runtime.archive.object_store import AnswerError

pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("ray", reason="Ray is not installed: pip install 'gpen-edge[archive]'")

BLOCK = [Listed("a.jpg", "a.jpg", 10)]


class Writing:
    """A worker that writes each photo's result, after something else has happened."""

    def __init__(self, work: Work, before: Callable[[], object]) -> None:
        self._work, self._before = work, before

    def rows(self, photos: Sequence[Listed]) -> list[Row]:
        self._before()
        for photo in photos:
            self._work.sink.write(photo.output, b"")
        return [{"path": photo.path, "outcome": "restored"} for photo in photos]


@pytest.mark.parametrize("goes", ["before the block", "during the block", "never"])
def test_a_sink_that_is_gone_ends_the_run_even_if_made_again(tmp_path: Path, goes: str) -> None:
    from runtime.archive.cluster import _Actor, _listed

    none, sink = cast(Any, None), tmp_path / "mounted" / "out"
    work = Work(none, place_of(str(sink)), none)
    work.sink.write("listed", b"")

    def unmount() -> None:
        if goes != "never":
            shutil.rmtree(sink.parent)

    begin = unmount if goes == "during the block" else str
    actor = _Actor(work, none, lambda *_: Writing(work, begin), "listed")
    if goes == "before the block":
        unmount()
    if goes == "never":
        assert actor(_listed(BLOCK))["path"].to_pylist() == ["a.jpg"]
        return
    with pytest.raises(PhotoError, match="out is gone: when it is back, run the same command again"):
        actor(_listed(BLOCK))
    assert sink.exists() == (goes == "during the block")


def test_the_last_error_of_a_traceback_is_the_users() -> None:
    from runtime.archive.cluster import _own_error

    text = (
        "ray::MapWorker.submit()\nbase.errors.PhotoError: b.jpg does not exist: check its name and folder\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "base.errors.PhotoError: /photos is gone or empty: when it is back, run the same command again\n"
    )
    found = _own_error(RuntimeError(text))
    assert (type(found), str(found).partition(":")[0]) == (PhotoError, "/photos is gone or empty")


def test_rows_that_a_store_does_not_give_are_explained(store: Any) -> None:
    from runtime.archive.cluster import STATUS, count_rows, rows_of
    from runtime.archive.status import table_of

    sink, stream = Place("stand-in://out"), io.BytesIO()
    pq.write_table(table_of([{"path": "a.jpg"}] * 3), stream)
    sink.write(f"{STATUS}/0.parquet", stream.getvalue())
    for damaged in (b"", b"PAR1", stream.getvalue()[:-20] + b"x" * 12 + stream.getvalue()[-8:]):
        sink.write(f"{STATUS}/1.parquet", damaged)
        assert count_rows(sink) == 3
        with pytest.raises(
            PhotoError, match=r"cannot read the rows of the photos: .*; the results are complete"
        ):
            rows_of(sink)
    store.refuses |= {"list": AnswerError(), "read": AnswerError()}
    for read in (count_rows, rows_of):
        with pytest.raises(PhotoError, match=r"^cannot .*: refused by https://host/a\.jpg"):
            read(sink)


def test_an_error_of_a_store_that_ray_passes_on_is_one_line() -> None:
    from runtime.archive.cluster import _own_error

    error = AnswerError()
    assert str(_own_error(ray_error(error))) == (
        "Ray gave up: refused by https://host/a.jpg?: run the same command again to continue"
    )


def ray_error(error: Exception) -> Exception:
    """Return an error of a task as Ray gives it to the program."""
    from ray.exceptions import RayTaskError

    task: Any = RayTaskError
    text = f"Traceback (most recent call last):\n  File\ntests.x.AnswerFault: {error}"
    return cast(Exception, task("task", text, error).as_instanceof_cause())
