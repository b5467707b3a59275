import os
import threading
from collections.abc import Callable
from typing import Any

import cv2
import pytest

from base.parallel import cores, for_each, one_ahead, parallel


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system with affinities")
def test_cores_that_the_process_may_not_use_do_not_count() -> None:
    usable = os.sched_getaffinity(0)
    assert cores() == len(usable)
    os.sched_setaffinity(0, {min(usable)})
    try:
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, usable)


def test_results_come_in_the_order_of_the_items_whoever_is_done_first() -> None:
    second_done = threading.Event()

    def work(item: int) -> int:
        if item == 0 and cv2.getNumThreads() > 1:
            second_done.wait(600)
        second_done.set()
        return 10 * item

    assert list(parallel(work, range(5))) == [0, 10, 20, 30, 40]


def test_an_error_comes_in_the_place_of_its_item() -> None:
    def work(item: int) -> int:
        return 6 // item

    results = parallel(work, (1, 2, 0, 3))
    assert [next(results), next(results)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_the_next_result_is_computed_while_one_is_used() -> None:
    begun = {item: threading.Event() for item in range(4)}

    def work(item: int) -> int:
        begun[item].set()
        return 10 // (item - 3)

    results = one_ahead(work, range(4))
    for item in range(3):
        assert next(results) == 10 // (item - 3)
        assert begun[item + 1].wait(600)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_each_key_has_its_own_result() -> None:
    assert for_each({3: "c", 1: "a"}, lambda key: key + 1) == {3: 4, 1: 2}
    assert for_each((), lambda key: key) == {}


@pytest.mark.parametrize("spread", [parallel, one_ahead])
def test_one_that_is_given_up_waits_for_no_thread(spread: Callable[..., Any]) -> None:
    going_on = threading.Event()

    def work(item: int) -> int:
        if item:
            going_on.wait(600)
        return item

    results = spread(work, range(3))
    assert next(results) == 0
    closing = threading.Thread(target=results.close)
    closing.start()
    closing.join(300)
    waits = closing.is_alive()
    going_on.set()
    assert not waits
