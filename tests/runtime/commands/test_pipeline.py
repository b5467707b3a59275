"""Reading, working and writing at once: in order, bounded, and to the end of what was begun."""

import threading
import weakref
from collections.abc import Iterator

import pytest

from runtime.commands.pipeline import AHEAD, BEHIND, pipelined


class Pixels:
    """Stands for what is large."""


def test_outcomes_come_in_order_and_a_failure_of_any_step_is_one_of_them() -> None:
    def read(item: int) -> int:
        if item == 3:
            raise ValueError("read")
        return item

    def work(item: int, given: int) -> int:
        if item == 5:
            raise MemoryError("work")
        return given * 10

    def write(item: int, given: int) -> int:
        if item == 7:
            raise OSError("write")
        return given + 1

    outcomes = dict(pipelined(range(10), read, work, write))
    assert list(outcomes) == list(range(10))
    assert [str(outcomes.pop(item)) for item in (3, 5, 7)] == ["read", "work", "write"]
    assert outcomes == {item: item * 10 + 1 for item in (0, 1, 2, 4, 6, 8, 9)}


def test_reading_runs_ahead_and_writing_follows_behind() -> None:
    read_third, written_first = threading.Event(), threading.Event()

    def read(item: int) -> int:
        if item == 2:
            read_third.set()
        return item

    def work(item: int, given: int) -> int:
        if item == 0:
            assert read_third.wait(600)  # while the first is worked on
        if item == 1:
            assert written_first.wait(600)  # while the second is
        return given

    def write(item: int, given: int) -> int:
        written_first.set()
        return given

    assert [outcome for _, outcome in pipelined(range(4), read, work, write)] == [0, 1, 2, 3]


def test_photos_in_memory_are_bounded_however_many_there_are() -> None:
    alive: weakref.WeakSet[Pixels] = weakref.WeakSet()
    most = 0

    def read(item: int) -> Pixels:
        nonlocal most
        pixels = Pixels()
        alive.add(pixels)
        most = max(most, len(alive))
        return pixels

    def write(item: int, pixels: Pixels) -> None:
        if item % 3 == 0:
            raise ValueError("a failure must not keep its pixels")

    for _ in pipelined(range(300), read, lambda item, pixels: pixels, write):
        pass
    assert 0 < most <= AHEAD + BEHIND + 2
    assert len(alive) == 0


def test_an_interruption_reads_no_more_and_writes_what_was_worked_on() -> None:
    asked: list[int] = []
    written: list[int] = []

    def endless() -> Iterator[int]:
        for item in range(10**9):
            asked.append(item)
            yield item

    def work(item: int, given: int) -> int:
        if item == 4:
            raise KeyboardInterrupt
        return given

    with pytest.raises(KeyboardInterrupt):
        for _ in pipelined(endless(), lambda item: item, work, lambda item, given: written.append(item)):
            pass
    assert written == [0, 1, 2, 3]
    assert len(asked) <= 5 + AHEAD
