"""A checkpoint travels in parts and comes back as it was, or says what is wrong."""

from pathlib import Path

import pytest

from base.errors import CheckpointError
from training.__main__ import main
from training.checkpoints import CHECKPOINT, PARTS, found, join, split

CONTENT = bytes(range(256)) * 5000


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / CHECKPOINT).write_bytes(CONTENT)
    return tmp_path


def test_parts_come_together_to_the_same_checkpoint(run: Path) -> None:
    assert main(["split", str(run), "--part-mib", "0.5"]) == 0
    sizes = [(run / f"{CHECKPOINT}.{i:03}").stat().st_size for i in range(3)]
    assert sizes == [1 << 19, 1 << 19, len(CONTENT) - (1 << 20)]
    (run / CHECKPOINT).unlink()
    assert main(["join", str(run)]) == 0
    assert (run / CHECKPOINT).read_bytes() == CONTENT


def test_a_run_of_which_only_the_parts_are_there_is_found(run: Path) -> None:
    split(run, 0.5)
    (run / CHECKPOINT).unlink()
    assert found(run) == run / CHECKPOINT
    assert (run / CHECKPOINT).read_bytes() == CONTENT
    (run / CHECKPOINT).write_bytes(b"newer")
    assert found(run) == run / CHECKPOINT
    assert (run / CHECKPOINT).read_bytes() == b"newer"


def test_parts_of_an_older_checkpoint_do_not_stay(run: Path) -> None:
    split(run, 0.25)
    (run / CHECKPOINT).write_bytes(CONTENT[:1000])
    split(run, 0.25)
    assert sorted(path.name for path in run.iterdir()) == [CHECKPOINT, f"{CHECKPOINT}.000", PARTS]


def test_missing_and_changed_parts_are_named_and_harm_nothing(run: Path) -> None:
    parts = split(run, 0.5)
    parts[1].write_bytes(parts[1].read_bytes()[:-1] + b"x")
    with pytest.raises(CheckpointError, match="changed or cut short"):
        join(run)
    assert (run / CHECKPOINT).read_bytes() == CONTENT
    parts[1].unlink()
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt\.001 is missing; 3 are needed"):
        join(run)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["split", "nowhere"], "holds no checkpoint.pt"),
        (["join", "nowhere"], "holds no checkpoint.pt.parts.json"),
        (["split", ".", "--part-mib", "0"], "give more than 0"),
        (["split", ".", "--part-mib", "0.0001"], "parts: raise the size"),
    ],
)
def test_mistakes_are_one_line(
    run: Path,
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(run)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
