"""The training recipe: where it starts, what it is fed, and that it can be stopped and taken up again."""

import csv
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import training.run
from engines.errors import CheckpointError, PhotoError, SettingsError
from export import static
from export.checkpoint import load_checkpoint
from export.layout import Layout
from training.__main__ import main
from training.adversary import Adversarial
from training.augmentation import Augmentation
from training.checkpoints import split
from training.config import BUNDLED, TrainingConfig, read_config
from training.degradation import Ranges, degrade
from training.initialise import initialise
from training.losses import LossWeights
from training.portraits import load_portraits, to_crops, to_tensor
from training.run import LOG_COLUMNS, learning_rate, train
from training.state import open_state, save_state
from training.stream import make_batch, stacked

TINY = Layout(64, 1, 0.0625, 32, 2)


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


def test_the_latent_tells_from_the_start_how_noisy_a_crop_is(portrait: NDArray[np.uint8]) -> None:
    network = initialise(Layout(128, 1, 0.125, 64, 4), seed=3)
    views = np.stack([np.roll(portrait, 11 * i, axis=1)[:, :: -1 if i % 2 else 1] for i in range(40)])
    sigma = torch.linspace(0, 25, 40)[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    crops = torch.nn.functional.interpolate(
        torch.from_numpy(views).permute(0, 3, 1, 2).float() / 127.5 - 1, 128, mode="area"
    )
    noise = torch.randn(crops.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        w = network.generator.map(network.encode(crops + noise * sigma[:, None, None, None] / 127.5)[0])
    read, held_out = w[:24], w[24:]
    centre = read.mean(0)
    ridge = (read - centre) @ (read - centre).T + 0.01 * torch.eye(24)
    probe = (read - centre).T @ torch.linalg.solve(ridge, sigma[:24] - sigma[:24].mean())
    error = (held_out - centre) @ probe + sigma[:24].mean() - sigma[24:]
    assert error.square().mean() < 0.2 * sigma[24:].var()


def test_every_parameter_but_the_unused_learns(portraits: Path) -> None:
    network = initialise(TINY, seed=0)
    # Away from the start, where the pictures of the lower resolutions weigh nothing yet.
    for name, parameter in network.named_parameters():
        if "to_rgb" in name:
            parameter.data.normal_()
    crops = stacked(load_portraits(portraits), 64, torch.device("cpu"))
    batch = make_batch(crops, 64, 2, Ranges(untouched=0), Augmentation(), seed=0, step=0)
    (static.restore(static.fold(network), batch.degraded) - batch.target).abs().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_training_lowers_the_error_of_what_it_sees(portraits: Path, tmp_path: Path) -> None:
    config = TrainingConfig(
        size=64,
        narrow=0.0625,
        style_dim=32,
        n_mlp=2,
        steps=60,
        batch=2,
        warmup=5,
        ema=0.9,
        validate_every=60,
        degradation=Ranges(blur=(0, 0.1), downscale=(1, 1), noise=(25, 25), partial=0),
    )
    train(portraits, tmp_path / "run", config, held_out=1)
    header, row = (tmp_path / "run/log.csv").read_text().splitlines()
    figures = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    assert figures["psnr_restored"] > figures["psnr_degraded"] + 0.1
    assert figures["ssim_restored"] > figures["ssim_degraded"]
    assert min(figures["psnr_untouched"], figures["psnr_second"]) > 25


RECIPE = TrainingConfig(
    size=64,
    narrow=0.0625,
    style_dim=32,
    n_mlp=2,
    steps=20,
    batch=2,
    warmup=2,
    validate_every=5,
    sample_every=10,
    loss=LossWeights(structure=0.1),
    adversarial=Adversarial(weight=0.01, start=8, ramp=4, channels=4, r1_every=3),
)


@pytest.fixture
def eight(portrait: NDArray[np.uint8], tmp_path: Path) -> Path:
    """Eight portraits, all of them of one astronaut."""
    folder = tmp_path / "eight"
    folder.mkdir()
    for i in range(8):
        view = np.roll(portrait, 12 * i, axis=1)[:, :: -1 if i % 2 else 1]
        cv2.imwrite(str(folder / f"{i}.png"), cv2.resize(view, (256, 256), interpolation=cv2.INTER_AREA))
    return folder


def figures(run: Path) -> list[list[str]]:
    """Return the rows of a log without what depends on the clock."""
    with (run / "log.csv").open() as file:
        return [[cell for i, cell in enumerate(row) if i != 1] for row in csv.reader(file)]


def test_the_whole_recipe_stopped_and_taken_up_again_comes_to_the_same_losses(
    eight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(eight, tmp_path / "whole", RECIPE, held_out=2)

    # Interrupt the run in its twelfth step: only the checkpoint of step ten is there to go on from, in parts.
    step, calls = training.run._step, 0

    def counted(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 12:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(training.run, "_step", counted)
    with pytest.raises(KeyboardInterrupt):
        train(eight, tmp_path / "parts", RECIPE, held_out=2)
    monkeypatch.undo()
    split(tmp_path / "parts", 0.5)
    (tmp_path / "parts" / "checkpoint.pt").unlink()
    parts = train(eight, tmp_path / "parts", RECIPE, held_out=2)

    assert figures(tmp_path / "whole") == figures(tmp_path / "parts")
    assert [row[0] for row in figures(tmp_path / "whole")] == ["step", "5", "10", "15", "20"]
    one, other = load_checkpoint(whole).state, load_checkpoint(parts).state
    assert all(torch.equal(one[name], other[name]) for name in one)
    judged = [float(row[LOG_COLUMNS.index("adversary_loss") - 1]) for row in figures(tmp_path / "whole")[1:]]
    assert judged[0] == 0 < judged[1]
    sheets = sorted((tmp_path / "whole" / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == ["step-000010.png", "step-000020.png"]
    assert cv2.imread(str(sheets[0])).shape == (2 * 64, 3 * 64, 3)


def test_a_checkpoint_of_the_first_recipe_goes_on(eight: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    first = open_state(run, RECIPE, torch.device("cpu"))
    content = {
        "step": 18,
        "network": first.network.state_dict(),
        "averaged": first.averaged.state_dict(),
        "optimiser": torch.optim.Adam(first.network.parameters()).state_dict(),
    }
    torch.save(content, run / "checkpoint.pt")
    (run / "log.csv").write_text("step,seconds,learning_rate,loss\n15,1,1,1\n")
    train(eight, run, RECIPE, held_out=2)
    assert [row[0] for row in figures(run)] == ["step", "20"]
    assert (run / "log-1.csv").read_text().endswith("15,1,1,1\n")


def test_a_checkpoint_of_another_layout_is_one_clear_line(
    eight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    save_state(run / "checkpoint.pt", open_state(run, RECIPE, torch.device("cpu")))
    assert main(["run", str(eight), "-o", str(run), "--held-out", "0", "--steps", "1"]) == 2
    error = capsys.readouterr().err
    assert "does not fit" in error
    assert "Traceback" not in error


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(eight: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    state = open_state(run, RECIPE, torch.device("cpu"))
    next(state.network.parameters()).data.fill_(math.nan)
    save_state(run / "checkpoint.pt", state)
    before = (run / "checkpoint.pt").read_bytes()
    with pytest.raises(CheckpointError, match="not a number"):
        train(eight, run, RECIPE, held_out=2)
    assert (run / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_configurations_that_come_along_are_found_by_name(name: str) -> None:
    config = read_config(Path(name))
    assert config == read_config(BUNDLED / f"{name}.toml")
    assert config.size == {"cpu": 256, "gpu": 512}[name]
    assert (config.adversarial.weight > 0) == (name == "gpu")


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
        ("[loss]\npixels = -1", "loss weight pixels is -1"),
        ("[loss]\nknee = 0", "loss knee is 0"),
        ("[adversarial]\nramp = 0", "ramp, channels and r1_every 1 or more"),
        ("[augmentation]\nshift = 2", "augmentation shift is 2"),
        ("[degradation]\ngrey = 2", "degradation grey is 2"),
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
