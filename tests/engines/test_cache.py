import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from base.errors import EngineError
from engines.__main__ import main
from engines.cache import EngineCache
from engines.gpu import Gpu
from engines.record import EngineKey, EngineRecord, decode_record, encode_record

KEY = EngineKey(
    graph="step",
    graph_sha256="ab" * 32,
    runtime="rtx",
    version="1.7",
    target="sm_89",
    precision="fp16",
    max_batch=8,
)
PLAN = bytes(range(256)) * 16


def writes(key=KEY, plan=PLAN, calls=None):
    """Return what writes that engine, and counts how often it was asked to."""

    def build(file):
        if calls is not None:
            calls.append(key)
        file.write_bytes(plan)
        return EngineRecord(key=key, sha256="", size=0, package="tiny", built="2026-01-01", seconds=1)

    return build


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / "cache")


def files(cache):
    return sorted(path.name for path in cache.folder.iterdir() if path.name != ".lock")


def test_an_engine_is_built_once(cache):
    calls = []
    assert cache.find(KEY) is None
    for _ in range(2):
        engine = cache.get(KEY, writes(calls=calls))
        assert engine.plan == engine.path.read_bytes() == PLAN
        assert engine.record.size == len(PLAN)
    assert cache.find(KEY) == engine
    assert calls == [KEY]
    assert files(cache) == [f"{KEY.stem}.engine", f"{KEY.stem}.json"]


def test_engines_are_deleted_by_name_by_package_or_all(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path))
    cache = EngineCache()
    keys = [replace(KEY, graph=graph) for graph in ("encoder", "mapping", "generator")]
    names = [cache.get(key, writes(key)).path.stem.rpartition("-")[2] for key in keys]
    assert main(["delete", names[0]]) == 0
    assert "1 engines deleted" in capsys.readouterr().out
    assert [cache.find(key) is None for key in keys] == [True, False, False]
    assert main(["delete", names[0]]) == 2
    assert f"no engine {names[0]}: python -m engines list shows" in capsys.readouterr().err
    assert main(["delete", "--package", "other"]) == 2
    assert main(["delete", "--package", "tiny"]) == 0
    assert not cache.entries()
    cache.get(KEY, writes())
    assert main(["delete", "--all"]) == 0
    assert files(cache) == []
    assert main(["delete", "--all"]) == 0
    assert main(["delete"]) == 2
    assert main(["delete", "a", "--all"]) == 2


def test_an_engine_is_built_anew_when_that_is_wanted(cache):
    cache.get(KEY, writes())
    assert cache.get(KEY, writes(plan=b"new"), rebuild=True).plan == b"new"
    assert cache.find(KEY).plan == b"new"


CHANGES = {
    "graph": "encoder",
    "graph_sha256": "ac" + "ab" * 31,
    "runtime": "tensorrt",
    "version": "1.8",
    "target": "sm_86,sm_89",
    "precision": "fp32",
    "max_batch": 4,
    "method": KEY.method + 1,
}


def test_every_part_of_a_key_is_changed_below():
    assert set(CHANGES) == set(EngineKey.__dataclass_fields__)


@pytest.mark.parametrize("part", CHANGES)
def test_an_engine_of_another_key_is_not_taken(cache, part):
    cache.get(KEY, writes())
    other = replace(KEY, **{part: CHANGES[part]})
    assert cache.find(other) is None
    assert cache.get(other, writes(other, b"other")).plan == b"other"
    assert cache.find(KEY).plan == PLAN


@pytest.mark.parametrize("part", CHANGES)
def test_an_engine_under_the_name_of_another_is_not_taken(cache, part):
    engine = cache.get(KEY, writes())
    other = replace(KEY, **{part: CHANGES[part]})
    for file in (engine.path, engine.path.with_suffix(".json")):
        file.rename(cache.folder / (other.stem + file.suffix))
    assert cache.find(other) is None
    noticed = []
    assert cache.get(other, writes(other, b"other"), notice=noticed.append).plan == b"other"
    assert "damaged or foreign: rebuilding it" in noticed[0]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.sampled_from([".engine", ".json"]), st.floats(0, 1, exclude_max=True), st.integers(0, 8))
def test_a_damaged_engine_or_record_never_yields_a_wrong_engine(cache, suffix, where, bit):
    engine = cache.get(KEY, writes(), rebuild=True)
    file = engine.path.with_suffix(suffix)
    content = bytearray(file.read_bytes())
    position = int(where * len(content))
    if bit < 8:
        content[position] ^= 1 << bit
    else:
        del content[position:]
    file.write_bytes(content)
    found = cache.find(KEY)
    assert found is None or found.plan == PLAN
    assert found is None or suffix == ".json"
    assert cache.get(KEY, writes()).plan == PLAN


@pytest.mark.parametrize("missing", [".engine", ".json"])
def test_half_an_engine_is_none(cache, missing):
    engine = cache.get(KEY, writes())
    engine.path.with_suffix(missing).unlink()
    assert cache.find(KEY) is None
    other = replace(KEY, max_batch=1)
    cache.get(other, writes(other))
    if missing == ".json":
        assert not engine.path.exists()  # swept
    assert cache.get(KEY, writes()).plan == PLAN


@pytest.mark.parametrize("error", [EngineError("no"), KeyboardInterrupt(), MemoryError()])
def test_a_build_that_fails_leaves_nothing_and_keeps_what_was_there(cache, error):
    def fails(file):
        file.write_bytes(PLAN[:100])
        raise error

    with pytest.raises(type(error)):
        cache.get(KEY, fails)
    assert files(cache) == []
    cache.get(KEY, writes())
    with pytest.raises(type(error)):
        cache.get(KEY, fails, rebuild=True)
    assert cache.find(KEY).plan == PLAN


def test_what_a_killed_build_leaves_is_swept_by_the_next(cache):
    cache.folder.mkdir()
    left = [cache.folder / name for name in ("0123.draft", "gpu.timing.draft", f"{KEY.stem}.engine")]
    for path in left:
        path.write_bytes(PLAN[:100])
    other = replace(KEY, max_batch=1)
    cache.get(other, writes(other))
    assert not any(path.exists() for path in left)


def in_use_order(cache, *batches):
    """Use engines one after the other, a minute apart."""
    for minute, batch in enumerate(batches):
        path = cache.folder / f"{replace(KEY, max_batch=batch).stem}.json"
        os.utime(path, (minute * 60, minute * 60))


def test_the_engines_that_were_not_used_for_longest_make_room(tmp_path):
    cache = EngineCache(tmp_path, limit_mib=3)
    keys = [replace(KEY, max_batch=batch) for batch in (1, 2, 3)]
    mebibyte = bytes(2**20 - 4096)
    for key in keys:
        cache.get(key, writes(key, mebibyte))
    in_use_order(cache, 2, 3, 1)
    assert [entry.record.key.max_batch for entry in cache.entries()] == [1, 3, 2]
    cache.find(keys[1])  # used again: now 3 is the oldest
    fourth = replace(KEY, max_batch=4)
    cache.get(fourth, writes(fourth, mebibyte))
    assert {entry.record.key.max_batch for entry in cache.entries()} == {1, 2, 4}
    assert len(files(cache)) == 6


def test_compiled_kernels_count_and_go_with_their_engine(tmp_path):
    cache = EngineCache(tmp_path, limit_mib=1)
    engine = cache.get(KEY, writes())
    engine.kernels.write_bytes(bytes(2**20))
    assert cache.entries()[0].size > 2**20
    other = replace(KEY, max_batch=1)
    cache.get(other, writes(other))
    assert not engine.path.exists()
    assert not engine.kernels.exists()


def test_kernels_that_come_after_their_engine_has_gone_are_swept(cache):
    engine = cache.get(KEY, writes())
    for file in (engine.path, engine.path.with_suffix(".json")):
        file.unlink()
    engine.kernels.write_bytes(b"kernels of a process that still ran it")
    for batch in (1, 2):
        other = replace(KEY, max_batch=batch)
        kept = cache.get(other, writes(other))
        kept.kernels.write_bytes(b"kernels")
    assert not engine.kernels.exists()
    assert len(list(cache.folder.glob("*.kernels"))) == 2


def test_an_engine_larger_than_the_limit_is_used_all_the_same(tmp_path):
    cache = EngineCache(tmp_path, limit_mib=1)
    assert len(cache.get(KEY, writes(plan=bytes(2**21))).plan) == 2**21


def test_engines_made_ahead_serve_the_gpus_they_cover_the_narrowest_first(cache):
    gpu = Gpu("NVIDIA GeForce RTX 4070", (8, 9), 20)
    assert cache.find_for(KEY, gpu) is None
    for target in ("sm_75", "ampere+", "sm_86,sm_89"):
        key = replace(KEY, target=target)
        cache.get(key, writes(key, target.encode()))
        other = replace(key, version="1.6")
        cache.get(other, writes(other))
    assert cache.find_for(KEY, gpu).plan == b"sm_86,sm_89"
    assert cache.find_for(KEY, Gpu("NVIDIA GeForce RTX 5070", (12, 0), 20)).plan == b"ampere+"
    assert cache.find_for(KEY, Gpu("NVIDIA T4", (7, 5), 20)).plan == b"sm_75"
    cache.find_for(KEY, gpu).path.write_bytes(b"damaged")
    assert cache.find_for(KEY, gpu).plan == b"ampere+"
    assert cache.find_for(KEY, Gpu("NVIDIA V100", (7, 0), 20)) is None


def test_of_engines_with_different_max_batch_the_last_used_serves(cache):
    gpu = Gpu("NVIDIA GeForce RTX 4070", (8, 9), 20)
    for batch in (4, 16):
        key = replace(KEY, max_batch=batch)
        cache.get(key, writes(key, b"%d" % batch))
    for order in ((16, 4), (4, 16)):
        in_use_order(cache, *order)
        assert cache.find_for(KEY, gpu).plan == b"%d" % order[-1]


def test_engines_are_carried_to_another_cache(cache, tmp_path):
    engine = cache.get(KEY, writes())
    copy = cache.copy_out(engine, tmp_path / "stick")
    kiosk = EngineCache(tmp_path / "kiosk")
    assert kiosk.read(copy).record == engine.record
    assert kiosk.take_in(tmp_path / "stick") == [engine.record]
    assert kiosk.find(KEY).plan == PLAN
    assert len(files(kiosk)) == 2


def test_damaged_engines_are_not_taken_in(cache, tmp_path):
    stick = tmp_path / "stick"
    kiosk = EngineCache(tmp_path / "kiosk")
    with pytest.raises(EngineError, match="no folder"):
        kiosk.take_in(stick)
    other = replace(KEY, max_batch=1)
    cache.copy_out(cache.get(KEY, writes()), stick)
    copy = cache.copy_out(cache.get(other, writes(other)), stick)
    copy.write_bytes(PLAN[:-1])
    with pytest.raises(EngineError, match="or its record is damaged"):
        kiosk.take_in(stick)
    assert not kiosk.folder.exists()
    with pytest.raises(EngineError, match="truncated or changed"):
        kiosk.read(copy)
    copy.with_suffix(".json").unlink()
    with pytest.raises(EngineError, match="has no record"):
        kiosk.read(copy)


def test_a_record_of_another_form_is_not_read():
    record = EngineRecord(key=KEY, sha256="", size=0, package="tiny", built="", seconds=1)
    assert decode_record(encode_record(record)) == record
    assert decode_record(encode_record(replace(record, schema=2))) is None
    for content in (b"", b"{}", b"[]", b"\xff", b"[" * 100_000):
        assert decode_record(content) is None


@pytest.mark.parametrize("place", ["/proc/engines", "file", "file/below"])
def test_a_folder_that_cannot_be_written_is_told_with_what_to_do(tmp_path, place):
    (tmp_path / "file").write_bytes(b"")
    cache = EngineCache(tmp_path / place)
    with pytest.raises(EngineError, match=r"cannot write the engine cache .*: set \$GPEN_EDGE_CACHE"):
        cache.get(KEY, writes())


def test_the_environment_names_folder_and_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("GPEN_EDGE_CACHE", str(tmp_path / "there"))
    monkeypatch.setenv("GPEN_EDGE_CACHE_MIB", "7")
    cache = EngineCache()
    assert (cache.folder, cache.limit) == (tmp_path / "there", 7 << 20)
    for text in ("", "0", "-1", "4GB", "1.5"):
        monkeypatch.setenv("GPEN_EDGE_CACHE_MIB", text)
        with pytest.raises(EngineError, match="give a whole number of MiB"):
            EngineCache()


BUILDING = """
import sys, time
from pathlib import Path
from engines.cache import EngineCache
sys.path.insert(0, sys.argv[1])
from test_cache import KEY, PLAN, EngineRecord

def build(file):
    with open(sys.argv[3], "a") as log:
        log.write("begin ")
    with file.open("wb") as out:
        for byte in PLAN[:20]:
            out.write(bytes([byte]))
            out.flush()
            time.sleep(0.02)
    with open(sys.argv[3], "a") as log:
        log.write("end ")
    return EngineRecord(key=KEY, sha256="", size=0, package="tiny", built="", seconds=1)

engine = EngineCache(Path(sys.argv[2])).get(KEY, build)
assert engine.plan == PLAN[:20], engine
print("has it")
"""


def test_processes_that_want_an_engine_at_once_build_it_once(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", BUILDING, str(Path(__file__).parent), str(tmp_path / "cache"), str(log)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        out, error = process.communicate(timeout=600)
        assert (process.returncode, out, error) == (0, "has it\n", "")
    assert log.read_text() == "begin end "


def test_names_tell_what_an_engine_is():
    assert re.fullmatch(r"step-abababab-fp16-b8-sm_89-rtx-1\.7-[0-9a-f]{8}", KEY.stem)
    gpu = replace(KEY, target="NVIDIA Jetson/Orin (8GB) sm_87 16 SMs").stem
    assert "-nvidia-jetson-orin-8gb-sm_87-16-sms-" in gpu
