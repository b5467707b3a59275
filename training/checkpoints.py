"""Checkpoints of a run, in one file or in parts small enough for mail and archives."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from base.errors import CheckpointError
from base.files import sha256, write_atomically, write_json

CHECKPOINT = "checkpoint.pt"
PARTS = CHECKPOINT + ".parts.json"
_BLOCK = 1 << 20


class Parts(msgspec.Struct, frozen=True):
    """The expected size and hash of the parts."""

    size: int
    sha256: str
    files: tuple[str, ...]


def split(run: Path, part_mib: float, *, output: Path | None = None, light: bool = False) -> tuple[Path, ...]:
    """Write a run's checkpoint as `checkpoint.pt.000` and so on, of at most `part_mib` MiB; return the parts.

    The checkpoint itself is kept. `checkpoint.pt.parts.json`, written last, holds what is needed to verify
    the parts. Parts of an older checkpoint are replaced.

    output  folder for the parts; None uses the run's
    light   omit the optimisers' state, which is soon learnt again: half the size

    Raises CheckpointError.
    """
    part_size, output = round(part_mib * _BLOCK), output or run
    whole = run / CHECKPOINT
    if part_size < 1:
        raise CheckpointError(f"--part-mib {part_mib:g}: give more than 0")
    if not whole.is_file():
        raise CheckpointError(f"{run} holds no {CHECKPOINT}: give the folder of a run")
    output.mkdir(parents=True, exist_ok=True)
    (output / PARTS).unlink(missing_ok=True)
    for old in output.glob(CHECKPOINT + ".[0-9][0-9][0-9]"):
        old.unlink()
    with tempfile.TemporaryDirectory(dir=output) as folder:
        if light:
            whole = _without_optimisers(whole, Path(folder) / CHECKPOINT)
        size = whole.stat().st_size
        count = -(-size // part_size)
        if count > 1000:
            raise CheckpointError(
                f"--part-mib {part_mib:g} would make {count} parts: raise the size, to get at most 1000 parts"
            )
        paths = tuple(output / f"{CHECKPOINT}.{i:03}" for i in range(count))
        with whole.open("rb") as source:
            for path in paths:
                with write_atomically(path) as part:
                    for block in _blocks(source, part_size):
                        part.write(block)
        listed = Parts(size, sha256(whole), tuple(path.name for path in paths))
    write_json(output / PARTS, listed)
    return paths


def _without_optimisers(whole: Path, light: Path) -> Path:
    import torch  # takes seconds to load, and the rest of this module does without

    content = torch.load(whole, map_location="cpu", weights_only=True)
    torch.save({name: value for name, value in content.items() if "optimiser" not in name}, light)
    return light


def join(run: Path) -> Path:
    """Join a run's checkpoint from its parts, which are kept; return it.

    Raises CheckpointError, and keeps an existing checkpoint, if a part is missing or changed.
    """
    try:
        listed = msgspec.json.decode((run / PARTS).read_bytes(), type=Parts)
    except OSError as error:
        raise CheckpointError(
            f"{run} holds no {PARTS}: give a folder written by `python -m training split`"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{run / PARTS} is damaged: {error}") from error
    missing = [name for name in listed.files if Path(name).name != name or not (run / name).is_file()]
    if missing:
        raise CheckpointError(f"{run}: the part {missing[0]} is missing; {len(listed.files)} are needed")
    digest = hashlib.sha256()
    with write_atomically(run / CHECKPOINT) as whole:
        for name in listed.files:
            with (run / name).open("rb") as part:
                while block := part.read(_BLOCK):
                    digest.update(block)
                    whole.write(block)
        if digest.hexdigest() != listed.sha256:
            raise CheckpointError(f"{run}: a part was changed or cut short: copy the parts again")
    return run / CHECKPOINT


def found(run: Path) -> Path | None:
    """Return a run's checkpoint, joined if only its parts exist; None for a new run."""
    if (run / CHECKPOINT).is_file():
        return run / CHECKPOINT
    return join(run) if (run / PARTS).is_file() else None


def _blocks(source: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (block := source.read(min(size, _BLOCK))):
        size -= len(block)
        yield block
