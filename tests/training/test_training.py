"""The training recipe: where it starts, what it is fed, and that it can be stopped and taken up again."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import training.run
from engines.errors import PhotoError, SettingsError
from export import static
from export.checkpoint import load_checkpoint
from export.layout import Layout
from training.__main__ import main
from training.config import TrainingConfig, read_config
from training.degradation import Ranges, degrade
from training.initialise import initialise
from training.losses import psnr
from training.portraits import augment, batches, load_portraits, to_crops, to_tensor
from training.run import learning_rate, train

TINY = TrainingConfig(
    size=64, narrow=0.0625, style_dim=32, n_mlp=2, steps=6, batch=2, warmup=2, validate_every=3
)


@pytest.fixture
def portraits(portrait: NDArray[np.uint8], tmp_path: Path) -> Path:
    folder = tmp_path / "portraits"
    folder.mkdir()
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(portrait, 20 * i, axis=1)[..., ::-1])
    return folder


@pytest.mark.parametrize("layout", [Layout(64, 1, 0.0625, 32, 2), Layout(256, 1, 0.25, 64, 2)])
def test_training_starts_from_the_identity(layout: Layout) -> None:
    net = static.fold(initialise(layout, seed=3))
    crop = torch.rand(1, 3, layout.size, layout.size) * 2 - 1
    with torch.no_grad():
        assert (static.restore(net, crop) - crop).abs().max() < 1e-5


def test_every_parameter_but_the_unused_learns(portraits: Path) -> None:
    network = initialise(TINY.layout, seed=0)
    # Away from the start, where the pictures of the lower resolutions weigh nothing yet.
    for name, parameter in network.named_parameters():
        if "to_rgb" in name:
            parameter.data.normal_()
    degraded, target = next(iter(batches(load_portraits(portraits), 64, 2, Ranges(), 0, 0)))
    (static.restore(static.fold(network), degraded) - target).abs().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_training_lowers_the_error_of_what_it_sees(portraits: Path, tmp_path: Path) -> None:
    config = TrainingConfig(
        size=64, narrow=0.0625, style_dim=32, n_mlp=2, steps=60, batch=4, warmup=5, ema=0.9, validate_every=60
    )
    train(portraits, tmp_path / "run", config, held_out=1)
    header, row = (tmp_path / "run/log.csv").read_text().splitlines()
    figures = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    assert figures["psnr_restored"] > figures["psnr_degraded"] + 0.1
    assert figures["psnr_untouched"] > 25


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    portraits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(portraits, tmp_path / "whole", TINY, held_out=0)

    # Interrupt the run in its fifth step: only the checkpoint of step three is there to go on from.
    step, calls = training.run._step, 0

    def counted(*arguments: object) -> float:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return step(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training.run, "_step", counted)
    with pytest.raises(KeyboardInterrupt):
        train(portraits, tmp_path / "parts", TINY, held_out=0)
    monkeypatch.undo()
    parts = train(portraits, tmp_path / "parts", TINY, held_out=0)

    one, other = load_checkpoint(whole).state, load_checkpoint(parts).state
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert len((tmp_path / "parts/log.csv").read_text().splitlines()) == 3


def test_the_command_writes_weights_of_the_published_layout(portraits: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("size = 64\nnarrow = 0.0625\nstyle_dim = 32\nn_mlp = 2\nbatch = 1\n")
    run = tmp_path / "run"
    arguments = [
        "run",
        str(portraits),
        "-o",
        str(run),
        "--config",
        str(config),
        "--steps",
        "1",
        "--held-out",
        "1",
    ]
    assert main(arguments) == 0
    assert load_checkpoint(run / "weights.pth").layout == Layout(64, 1, 0.0625, 32, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size = 100", "size 100"),
        ("speed = 3", "speed"),
        ("steps = 'many'", "steps"),
        ("steps =", "configuration"),
        ("steps = 0", "1 or more"),
        ("narrow = 0.01", r"narrow 0\.01"),
    ],
)
def test_configurations_with_mistakes_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words):
        read_config(path)


def test_folders_without_portraits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no portraits"):
        load_portraits(tmp_path)
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(PhotoError, match=r"wide\.png is not a square picture"):
        load_portraits(tmp_path)


def test_degradation_is_the_same_for_the_same_seed_and_worse_for_wider_ranges(
    portrait: NDArray[np.uint8],
) -> None:
    crop = portrait[:256, 100:356]
    ranges = Ranges(untouched=0)
    one, other = (degrade(crop, np.random.default_rng(5), ranges) for _ in range(2))
    assert np.array_equal(one, other)
    mild = Ranges(blur=(0.1, 0.5), downscale=(1, 1), noise=(0, 1), jpeg=(95, 100), untouched=0)
    error = [
        np.abs(degrade(crop, np.random.default_rng(5), r).astype(int) - crop).mean() for r in (mild, ranges)
    ]
    assert error[0] < 3 < error[1]


def test_untouched_crops_stay_as_they_are(portrait: NDArray[np.uint8]) -> None:
    crop = portrait[:64, :64]
    assert np.array_equal(degrade(crop, np.random.default_rng(0), Ranges(untouched=1)), crop)


def test_augmented_views_keep_size_and_type(portrait: NDArray[np.uint8]) -> None:
    for seed in range(20):
        view = augment(portrait, 64, np.random.default_rng(seed))
        assert (view.shape, view.dtype) == ((64, 64, 3), np.uint8)
        assert view.std() > 10


def test_crops_survive_the_way_to_tensors_and_back(portrait: NDArray[np.uint8]) -> None:
    crop = portrait[:64, :64]
    tensor = to_tensor([crop])
    assert (tensor.min() >= -1, tensor.max() <= 1) == (True, True)
    assert np.array_equal(to_crops(tensor)[0], crop)


def test_the_rate_warms_up_and_falls_to_a_twentieth() -> None:
    config = TrainingConfig(steps=1000, warmup=100, learning_rate=1e-3)
    assert learning_rate(config, 0) == pytest.approx(1e-5)
    assert learning_rate(config, 100) == pytest.approx(1e-3, rel=0.03)
    assert learning_rate(config, 1000) == pytest.approx(5e-5)


def test_psnr_of_a_known_error() -> None:
    one = torch.zeros(1, 3, 8, 8)
    assert float(psnr(one, one + 0.2)) == pytest.approx(20, abs=1e-4)
