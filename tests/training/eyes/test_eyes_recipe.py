"""The recipe of the network that draws eyes again."""

import time
from itertools import count, pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.package import open_package
from runtime.network.backends import open_backend
from runtime.network.eyes import HEIGHT, WIDTH
from runtime.onnx_session import open_network, run_network
from training.eyes import run
from training.eyes.network import EyesNet, new_judge
from training.eyes.pairs import BLOCK, make_block
from training.eyes.run import ALONE, State, take_step, train

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portraits() -> list[Pixels]:
    """Made-up portraits, which are nothing but soft blots."""
    random = np.random.default_rng(0)
    blots = random.integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    return [np.kron(each, np.ones((40, 40, 1), np.uint8)) for each in blots]


def strips(count: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    crop, restored, truth = (torch.rand(3, count, 3, HEIGHT, WIDTH) * 2 - 1).unbind(0)
    return crop, restored, truth


def test_it_begins_as_the_identity_and_changes_only_the_eyes() -> None:
    network = EyesNet()
    crop, restored, _ = strips()
    assert torch.equal(network(crop, restored), restored)
    network.last.weight.data.normal_()
    change = (network(crop, restored) - restored).abs().amax((0, 1))
    eyes = [change[22:32, column - 8 : column + 8] for column in (32, 95)]
    assert min(eye.mean() for eye in eyes) > 0.1
    around = (change[[0, -1]], change[:, [0, -1]], change[:, 63:65])
    assert max(part.max() for part in around) < 0.02 * change.max()


def test_a_block_holds_the_shown_the_restored_and_the_true_strips(portraits: list[Pixels]) -> None:
    backend = open_backend("onnxruntime", open_package(), device="cpu", threads=1)
    block, again = (make_block(portraits, backend, np.random.default_rng(2)) for _ in range(2))
    assert block.shape == (BLOCK, 3, 3, HEIGHT, WIDTH)
    assert np.array_equal(block, again)
    shown, restored, truth = block.swapaxes(0, 1).astype(np.float32)
    assert np.abs(restored - truth).mean() < np.abs(shown - truth).mean()


def test_the_strips_of_a_pair_are_changed_alike() -> None:
    strip = np.random.default_rng(0).integers(0, 255, (1, 3, HEIGHT, WIDTH), dtype=np.uint8)
    pair, rng = np.repeat(strip, 3, axis=0), np.random.default_rng(1)
    drawn = [run.augmented(pair, rng) for _ in range(8)]
    for each in drawn:
        assert (each.shape, each.dtype) == (pair.shape, np.float32)
        assert np.array_equal(each[0], each[1])
        assert np.array_equal(each[0], each[2])
        assert 0 <= each.min() < each.max() <= 1
    assert not any(np.array_equal(a, b) for a, b in pairwise(drawn))


def test_easy_crops_are_kept_from_the_adversary() -> None:
    torch.manual_seed(0)
    crop, restored, _ = strips()
    for state in (State(EyesNet(), new_judge()) for _ in range(2)):
        state.step = ALONE
        losses = take_step(state, (crop, restored, restored.clone()), bfloat16=False)
        assert losses["loss"] == 0
        assert losses["judge"] > 0
        assert torch.equal(state.network(crop, restored), restored)


def test_training_writes_the_file_and_goes_on(
    portraits: list[Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ALONE": 2, "BATCH": 2, "MOST_PAIRS": BLOCK, "SAVED": 0.0}.items():
        monkeypatch.setattr(run, name, value)
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks), sleep=time.sleep, time_ns=time.time_ns)
    monkeypatch.setattr(run, "time", clock)  # a second a step
    first = train(portraits, tmp_path, 5 / 60)
    steps = torch.load(tmp_path / "state.pt", weights_only=True)["step"]
    assert steps > 2
    path = train(portraits, tmp_path, 4 / 60)
    assert path == first
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    assert saved["step"] > steps
    assert len(list((tmp_path / "pairs").glob("*.npy"))) >= 1
    network = EyesNet()
    network.load_state_dict(saved["averaged"])
    crop, restored, _ = strips(1)
    with torch.no_grad():
        expected = network(crop, restored)
    assert not torch.equal(expected, restored)
    session = open_network(path, threads=1)
    (found,) = run_network(
        session, ["eyes"], {"crop": crop.numpy(), "restored": restored.numpy()}, "the network"
    )
    assert np.abs(found - expected.numpy()).max() < 2e-3
    assert path.stat().st_size < 1e6
