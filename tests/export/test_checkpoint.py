import os
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from base.errors import CheckpointError
from base.files import sha256
from export.gpen.checkpoint import load_checkpoint
from export.gpen.layout import Layout

TINY = Path(__file__).parents[1] / "data" / "tiny64.pth"


class Trap:
    """Creates a file when it is unpickled by a reader that executes what it reads."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture(scope="module")
def state():
    return load_checkpoint(TINY).state


def saved(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("key", [None, "g_ema", "params_ema"])
def test_a_state_dict_is_found_bare_or_under_its_key(tmp_path, state, key):
    content = state if key is None else {"iteration": 7, key: state, "g_optim": {"lr": 0.1}}
    loaded = load_checkpoint(saved(tmp_path / "any.pth", content))
    assert loaded.layout == Layout(64, 1, 1 / 16, 64, 4)
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in state.items())


def test_safetensors_are_read(tmp_path, state):
    path = tmp_path / "tiny.safetensors"
    safetensors.torch.save_file(state, path)
    loaded = load_checkpoint(path)
    assert all(torch.equal(loaded.state[name], tensor) for name, tensor in state.items())
    assert loaded.sha256 == sha256(path)


def test_half_precision_weights_become_float32(tmp_path, state):
    halves = {name: tensor.half() for name, tensor in state.items()}
    loaded = load_checkpoint(saved(tmp_path / "half.pth", halves))
    assert {tensor.dtype for tensor in loaded.state.values()} == {torch.float32}


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_is_refused_and_does_nothing(tmp_path, state, legacy):
    made = tmp_path / "made-by-the-pickle"
    path = tmp_path / "trap.pth"
    torch.save({"g_ema": state, "x": Trap(made)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="nothing in it was executed"):
        load_checkpoint(path)
    assert not made.exists()
    torch.load(path, weights_only=False)  # the trap works
    assert made.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"\x80\x04.", b"PK\x03\x04broken", np.random.default_rng(0).bytes(5000)],
)
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_garbage_is_refused_and_the_file_named(tmp_path, content, suffix):
    path = tmp_path / f"garbage.{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"checkpoint {path}: "):
        load_checkpoint(path)


@pytest.mark.parametrize("kept", [10, 1000, 100_000, 500_000])
def test_a_truncated_file_is_refused(tmp_path, state, kept):
    whole = tmp_path / "whole.safetensors"
    safetensors.torch.save_file(state, whole)
    for source in (TINY, whole):
        path = tmp_path / f"cut{source.suffix}"
        path.write_bytes(source.read_bytes()[:kept])
        with pytest.raises(CheckpointError, match=f"checkpoint {path}: "):
            load_checkpoint(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "content", [[1, 2], 7, torch.zeros(3), {"g_ema": 3}, {"epoch": 3}, {"g_ema": {"a": "b"}}]
)
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match="state dict"):
        load_checkpoint(saved(tmp_path / "other.pth", content))


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(3, dtype=torch.int64), torch.zeros(3).to_sparse(), torch.zeros(3, dtype=torch.complex64)],
)
def test_a_tensor_that_is_not_of_floats_is_named(tmp_path, state, tensor):
    with pytest.raises(CheckpointError, match=r"'ecd0.0.1.bias' is not a tensor of floats"):
        load_checkpoint(saved(tmp_path / "odd.pth", state | {"ecd0.0.1.bias": tensor}))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_tensor_that_is_not_finite_is_named(tmp_path, state, value):
    bad = state["final_linear.0.weight"].clone()
    bad[3, 5] = value
    with pytest.raises(CheckpointError, match=r"'final_linear.0.weight' holds values that are not finite"):
        load_checkpoint(saved(tmp_path / "nan.pth", state | {"final_linear.0.weight": bad}))


def test_a_misshapen_tensor_is_named_with_the_file(tmp_path, state):
    path = saved(tmp_path / "bad.pth", state | {"generator.input.input": torch.zeros(1, 7, 4, 4)})
    with pytest.raises(
        CheckpointError, match=rf"checkpoint {path}: tensor 'generator.input.input' has shape"
    ):
        load_checkpoint(path)
