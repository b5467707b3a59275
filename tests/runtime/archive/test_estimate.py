"""The estimate of a run and its progress, from given times."""

from collections.abc import Sequence

import pytest

from runtime.archive.estimate import RAY, estimate, written_size, written_time
from runtime.archive.listing import Listed, sample_of
from runtime.archive.progress import Counts, Speed
from runtime.archive.status import Row
from tests.runtime.archive.stand_ins import seconds_of


def rows_of(photos: Sequence[Listed]) -> list[Row]:
    return [
        {"seconds": seconds_of(photo), "outcome": "restored", "output_bytes": 2 * photo.size}
        for photo in photos
    ]


def test_the_estimate_of_a_sample_is_close_to_the_sum_of_all_photos() -> None:
    photos = [Listed(f"{i}.jpg", f"{i}.jpg", (i * i * 31) % 4000) for i in range(5000)]
    sample = sample_of(photos, 64)
    measured = sum(seconds_of(photo) for photo in sample) / 4 + 9  # by four actors, ready after 9 s
    found = estimate(photos, rows_of(sample), measured, actors=4)
    assert found.start == pytest.approx(9)
    total = sum(map(seconds_of, photos))
    for actors in (4, 40):
        assert found.duration(actors) == pytest.approx(9 + total / actors, rel=0.05)
    assert found.output_size == pytest.approx(2 * found.size, rel=0.05)
    first, second, *with_actors = found.lines(4, 40)
    assert first.startswith("5000 photos")
    assert "64 photos;" in second
    assert [line.split(":")[0] for line in with_actors] == ["with 4 actors", "with 40 actors"]


def test_the_last_blocks_and_the_work_of_ray_count_too() -> None:
    photos = [Listed(f"{i}.jpg", f"{i}.jpg", 10) for i in range(6200)]

    def rows(seconds: float) -> list[Row]:
        return [{"seconds": seconds, "outcome": "restored", "output_bytes": 1}] * 96

    slow = estimate(photos, rows(0.5), elapsed=6.0 + 5, actors=8)  # 12 photos for each actor of the sample
    assert slow.start == pytest.approx(5)
    assert slow.block == 64
    assert slow.duration(8) == pytest.approx(5 + 13 * 64 * 0.5)  # 97 blocks: one actor has a thirteenth
    fast = estimate(photos, rows(0.001), elapsed=5.012, actors=8)
    assert fast.duration(8) == pytest.approx(5 + 97 * RAY)  # one process writes all rows


def test_a_single_photo_can_be_estimated() -> None:
    photos = [Listed("0.jpg", "0.jpg", 10)]
    found = estimate(photos, [{"seconds": 2.0, "outcome": "failed", "output_bytes": None}], 5.0, actors=8)
    assert (found.failed, found.duration(8)) == (1, 5.0)
    assert len(list(found.lines(1, 1))) == 3


def test_times_and_sizes_are_written_in_suitable_units() -> None:
    assert [written_time(s) for s in (0.4, 100, 600, 9000, 400_000)] == [
        "0 s",
        "100 s",
        "10 min",
        "2.5 h",
        "4.6 days",
    ]
    assert [written_size(n) for n in (500, 2e6, 3e9, 4.25e12)] == ["0.5 kB", "2 MB", "3 GB", "4.25 TB"]


def test_the_progress_tells_the_speed_of_late_and_the_time_left() -> None:
    speed = Speed(1000)
    assert speed.sentence(0, Counts(0, 0, 0)) == ""
    assert speed.sentence(10, Counts(10, 0, 9)) == ""
    assert speed.sentence(20, Counts(30, 1, 28)) == "2 photos a second, 8 min left, 1 failed"
    for second in range(21, 1000):
        said = speed.sentence(second, Counts(30 + (second - 20) // 2, 1, 28))
    assert said.startswith("0.5 photos a second")
