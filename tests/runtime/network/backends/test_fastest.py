"""How `auto` chooses between backends on a CPU: by measured times, which are remembered."""

import numpy as np
import pytest

from base.errors import BackendError
from engines.package import open_package
from runtime.network.backends import choice, fastest, open_backend
from runtime.network.backends.measured import key_of, recall, remember


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GPEN_EDGE_MEASURE")
    return tmp_path / "cache"


@pytest.fixture
def package(tiny_package):
    return open_package(tiny_package)


class Clock:
    """Time that passes only where a backend lets it."""

    now = 0.0

    def perf_counter(self):
        return self.now

    def monotonic(self):
        return self.now


class Double:
    """A backend that takes a while for a pass, and longer for its first."""

    def __init__(self, clock, seconds, why=""):
        self.clock, self.seconds, self.why = clock, seconds, why
        self.passes, self.closed = 0, False

    def encode(self, crops, moves=()):
        assert crops.shape == (1, 3, 64, 64)
        assert np.abs(crops).max() <= 1
        return self

    def generate(self, state):
        self.clock.now += self.seconds * (10 if not self.passes else 1)
        self.passes += 1

    def release(self, state):
        pass

    def close(self):
        self.closed = True


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(fastest, "time", found)
    return found


def ways_of(backends):
    """Return how doubles are opened, and a list of those that were."""
    opened = []

    def way(name, backend):
        def open_it():
            opened.append(name)
            if isinstance(backend, Exception):
                raise backend
            return backend

        return open_it

    return {name: way(name, backend) for name, backend in backends.items()}, opened


@pytest.mark.parametrize(("first", "second", "best"), [(0.5, 0.25, "two"), (0.25, 0.5, "one")])
def test_the_faster_one_is_taken_and_remembered(package, clock, first, second, best):
    doubles = {"one": Double(clock, first), "two": Double(clock, second, "bf16")}
    ways, opened = ways_of(doubles)
    key, notices = key_of(package, threads=1), []
    taken = fastest.fastest(ways, package, key, "no GPU", notices.append)
    assert taken is doubles[best]
    assert [name for name, double in doubles.items() if double.closed] == [({"one", "two"} - {best}).pop()]
    assert len(notices) == 1
    words = {"two": "no GPU; bf16; a face took 250 ms in two, 500 ms in one"}
    assert taken.why == words.get(best, "no GPU; a face took 250 ms in one, 500 ms in two")
    opened.clear()
    passes = taken.passes
    again = fastest.fastest(ways, package, key, "no GPU", notices.append)
    assert (again, opened, len(notices), taken.passes) == (taken, [best], 1, passes)


def test_backends_that_memory_has_no_room_for_at_once_are_measured_one_by_one(package, clock):
    doubles = {"one": Double(clock, 0.5), "two": Double(clock, 0.25), "three": BackendError("no device")}
    ways, opened = ways_of(doubles)
    taken = fastest.fastest(ways, package, key_of(package), "", at_once=False)
    assert taken is doubles["two"]
    assert opened == ["one", "two", "three", "two"]
    assert doubles["one"].closed
    assert taken.why == "a face took 250 ms in two, 500 ms in one; three: no device"
    with pytest.raises(BackendError, match="no device"):
        fastest.fastest(ways_of({"one": BackendError("no device")})[0], package, {}, "", at_once=False)


@pytest.mark.parametrize("at_once", [True, False])
def test_one_that_opens_but_does_not_run_is_left_out(package, clock, at_once):
    class Broken(Double):
        def generate(self, state):
            raise BackendError("no such instruction")

    doubles = {"one": Double(clock, 0.5), "two": Broken(clock, 0.25)}
    taken = fastest.fastest(ways_of(doubles)[0], package, key_of(package), "", at_once=at_once)
    assert taken is doubles["one"]
    assert doubles["two"].closed
    assert taken.why == "a face took 500 ms in one; two: no such instruction"


def test_slow_backends_are_measured_once_after_the_pass_that_does_not_count(package, clock):
    doubles = {"one": Double(clock, 30.0), "two": Double(clock, 20.0)}
    ways, _ = ways_of(doubles)
    assert fastest.fastest(ways, package, key_of(package), "") is doubles["two"]
    assert doubles["one"].passes == doubles["two"].passes == 2


def test_another_key_or_a_damaged_file_is_measured_again(package, clock, cache):
    doubles = {"one": Double(clock, 0.5), "two": Double(clock, 0.25)}
    ways, opened = ways_of(doubles)
    fastest.fastest(ways, package, key_of(package, threads=1), "")
    opened.clear()
    fastest.fastest(ways, package, key_of(package, threads=2), "")
    assert opened == ["one", "two"]
    for file in cache.iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    opened.clear()
    fastest.fastest(ways, package, key_of(package, threads=2), "")
    assert opened == ["one", "two"]


def test_one_that_does_not_open_is_named_and_nothing_is_remembered(package, clock):
    one = Double(clock, 0.5)
    ways, opened = ways_of({"one": one, "two": BackendError("no device")})
    for _ in range(2):
        assert fastest.fastest(ways, package, key_of(package), "").why.endswith("; two: no device")
    assert opened == ["one", "two"] * 2
    with pytest.raises(BackendError, match="no device"):
        fastest.fastest(ways_of({"two": BackendError("no device"), "one": one})[0], package, {}, "")


def test_a_remembered_one_that_does_not_open_any_more_gives_way(package, clock):
    key = key_of(package)
    remember("fastest", key, {"one": 0.5, "two": 0.25})
    one = Double(clock, 0.5)
    ways, _ = ways_of({"one": one, "two": BackendError("it is gone")})
    assert fastest.fastest(ways, package, key, "") is one
    assert one.why.endswith("two: it is gone")


def test_figures_are_kept_in_a_folder_that_can_be_written_and_else_measured_again(tmp_path, monkeypatch):
    remember("precision", {"package": "a"}, {"psnr": 61.5})
    assert recall("precision", {"package": "a"}) == {"psnr": 61.5}
    assert recall("precision", {"package": "b"}) is None
    assert recall("fastest", {"package": "a"}) is None
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "file"))
    remember("precision", {"package": "a"}, {"psnr": 61.5})
    assert recall("precision", {"package": "a"}) is None


@pytest.mark.parametrize(("times", "name"), [((0.5, 0.25), "openvino"), ((0.25, 0.5), "onnxruntime")])
def test_auto_takes_what_was_measured_to_be_faster(package, monkeypatch, times, name):
    asked = []

    def seconds(backends, crop):
        asked.append(tuple(backends))
        return dict(zip(backends, times, strict=True))

    monkeypatch.setattr(fastest, "seconds_of", seconds)
    for _ in range(2):
        backend = open_backend("auto", package, device="cpu", threads=1)
        assert backend.name == name
        assert backend.why.startswith("the CPU was requested; ")
        assert "a face took 250 ms in " in backend.why
        backend.close()
    assert asked == [("ONNX Runtime", "OpenVINO")]
    named = open_backend("onnxruntime", package, device="cpu", threads=1)
    assert (named.name, named.why) == ("onnxruntime", "the CPU was requested")
    named.close()


@pytest.mark.parametrize("switched", [True, False])
def test_auto_measures_nothing_where_openvino_is_not_installed_or_measuring_is_off(
    package, monkeypatch, switched
):
    monkeypatch.setattr(choice, "fastest", None)
    if switched:
        monkeypatch.setenv("GPEN_EDGE_MEASURE", "0")
    else:
        monkeypatch.setattr(choice, "installed", lambda *names: None if "openvino" in names else "1")
    backend = open_backend("auto", package, device="cpu", threads=1)
    assert (backend.name, backend.why) == ("onnxruntime", "the CPU was requested")
    backend.close()
