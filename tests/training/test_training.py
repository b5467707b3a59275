"""The training recipe: where it starts, what it is fed, and that it can be stopped and taken up again."""

import csv
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Client, Listener
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

import training
from base.errors import CheckpointError, PhotoError, SettingsError
from export.gpen import static
from export.gpen.checkpoint import load_checkpoint
from export.gpen.layout import Layout
from portraits.damage import Ranges, degrade
from portraits.reading import load_portraits
from training.__main__ import main
from training.adversary import Adversarial
from training.augmentation import Augmentation
from training.checkpoints import split
from training.config import BUNDLED, Phase, TrainingConfig, read_config
from training.crops import Batch, Reservoir
from training.losses import LossWeights
from training.network import dense
from training.network.growing import Growing
from training.network.initialise import initialise
from training.on_the_way import after, mixed, own_estimate
from training.pairs import Stage
from training.run import train
from training.state import _new_state, open_state, save_state
from training.step import Steps, learning_rate
from training.tensors import to_crops, to_tensor

TINY = Layout(64, 1, 0.0625, 32, 2)
SMALL = Layout(128, 1, 0.0625, 32, 2)
CPU = torch.device("cpu")


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


def test_every_parameter_but_the_unused_learns(portrait: NDArray[np.uint8]) -> None:
    network = initialise(TINY, seed=0)
    # Away from the start, where the pictures of the lower resolutions weigh nothing yet.
    for name, parameter in network.named_parameters():
        if "to_rgb" in name:
            parameter.data.normal_()
    target = to_tensor([np.ascontiguousarray(portrait[y : y + 64, 200:264]) for y in (40, 90)])
    damaged = target + 0.2 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    (static.restore(static.fold(network), damaged) - target).abs().mean().backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def batch() -> Batch:
    """Four damaged crops of −1 whose targets are 1."""
    ones = torch.ones(4, 3, 64, 64)
    return Batch(-ones, ones, torch.zeros(4, dtype=torch.bool))


def test_crops_are_given_on_the_way_from_the_damaged_one_to_the_truth() -> None:
    drawn = [mixed(batch(), np.random.default_rng(i)) for i in range(100)]
    share = torch.cat([left for _, left in drawn])
    assert torch.allclose(
        torch.cat([1 - 2 * left for _, left in drawn]), torch.cat([g[:, 0, 0, 0] for g, _ in drawn])
    )
    assert 0.05 - 1e-6 <= float(share.min()) < 0.15
    assert 0.35 < float((share > 1 - 1e-6).float().mean()) < 0.65


def test_estimates_follow_the_loop_of_the_runtime() -> None:
    found = after(lambda crops: crops / 2, torch.ones(1, 3, 4, 4), [3, 4])
    u = 0.5 + 0.9**3 * 0.5
    assert torch.allclose(found, torch.full((1, 3, 4, 4), u / 2 + 0.9**4 * u / 2))
    network = Growing(SMALL, 64, 0)
    estimate, left = own_estimate(
        lambda crops: network(crops).crops, batch().degraded, np.random.default_rng(0)
    )
    assert all(0 < float(share) < 1 for share in left)
    assert torch.allclose(estimate, batch().degraded, atol=1e-4)  # a network that returns its input


def test_the_reservoir_hands_out_pairs_of_the_stage_that_was_begun(portrait: NDArray[np.uint8]) -> None:
    square = np.ascontiguousarray(portrait[:256, 100:356])
    stages = [
        Stage(size, Ranges(untouched=untouched), Augmentation())
        for size, untouched in ((64, 1.0), (128, 0.0))
    ]
    with Reservoir([square], stages, capacity=40, workers=1, seed=3, device=CPU) as reservoir:
        reservoir.begin(0)
        first = reservoir.draw(6)
        assert first.target.shape == first.degraded.shape == (6, 3, 64, 64)
        assert first.untouched.all()
        assert torch.equal(first.degraded, first.target)
        reservoir.begin(1)
        second = reservoir.draw(6)
        assert second.target.shape == (6, 3, 128, 128)
        assert not second.untouched.all()
        assert float(second.target.min()) >= -1
        assert float(second.target.max()) <= 1
        assert reservoir.made >= 16


class Watching(TorchDispatchMode):
    """Notes what a GPU cannot record: values read back, constants made from Python's numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(part in str(func) for part in ("_local_scalar", "lift_fresh", "nonzero")):
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_can_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Adversarial(weight=1, channels=4)
    loss = LossWeights(pixels=1, gradient=1, levels=0.3)
    config = TrainingConfig(
        phases=(Phase(size=64, batch=2, loss=loss, adversarial=judged),),
        size=64, narrow=0.0625, style_dim=32, n_mlp=2, steps=1,
    )  # fmt: skip
    state = _new_state(Growing(TINY, 64, 0))
    adversary = state.meet(judged, 0)
    for optimiser in (state.optimiser, adversary.optimiser):
        monkeypatch.setattr(optimiser, "step", lambda: None)  # a GPU's are fused
    steps, pair = Steps(state, config), batch()
    with Watching() as watching:
        steps._learn(pair.degraded, pair.target, torch.ones(4), penalised=True)
        steps._estimate(pair.degraded)
        dense.fold(state.network.network)
    assert watching.seen == []
    with watching:
        float(torch.ones(2)[[1]])  # the watch itself works
    assert len(watching.seen) == 2


RECIPE = TrainingConfig(
    phases=(
        Phase(size=64, batch=2, warmup=2, loss=LossWeights(pixels=1, levels=0.5)),
        Phase(size=128, batch=2, warmup=2, own=1.0),
        Phase(
            size=128,
            batch=2,
            warmup=2,
            settled=0.1,
            loss=LossWeights(gradient=0.1),
            adversarial=Adversarial(weight=0.01, ramp=4, channels=4, r1_every=3),
        ),
    ),
    size=128,
    narrow=0.0625,
    style_dim=32,
    n_mlp=2,
    steps=12,
    validate_every=4,
    sample_every=4,
    reservoir=32,
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


def rows(run: Path) -> list[dict[str, float]]:
    """Return the rows of a log."""
    with (run / "log.csv").open() as file:
        return [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def test_the_whole_recipe_stopped_in_a_phase_goes_on_from_parts(eight: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # Stopped in the second phase, by a configuration that has no more.
    part = msgspec.structs.replace(RECIPE, phases=RECIPE.phases[:2], steps=8)
    train([eight], run, part, held_out=1, threads=1)
    assert rows(run)[-1]["step"] == 8
    split(run, 0.5)
    (run / "checkpoint.pt").unlink()
    weights = train([eight], run, RECIPE, held_out=1, threads=1)

    log = rows(run)
    assert [row["size"] for row in log] == sorted(row["size"] for row in log)
    assert {row["size"] for row in log} == {64, 128}
    assert log[-1]["step"] == 12
    assert log[-1]["crops"] == 24
    assert log[-2]["adversary_loss"] > 0
    assert math.isfinite(log[-1]["psnr_5"])
    assert load_checkpoint(weights).layout == SMALL
    assert {path.name for path in run.glob("phase-*.safetensors")} >= {"phase-2.safetensors"}
    sheet = cv2.imread(str(max((run / "samples").iterdir())))
    assert sheet.shape == (128, 5 * 128, 3)


def test_a_run_can_begin_with_another_and_with_published_weights(eight: Path, tmp_path: Path) -> None:
    short = msgspec.structs.replace(RECIPE, phases=RECIPE.phases[1:2], steps=1, validate_every=1)
    first = train([eight], tmp_path / "first", short, held_out=0, threads=1)
    for start in (first, tmp_path / "first"):
        state = open_state(tmp_path / "none", short, CPU, start)
        kept = load_checkpoint(first).state
        found = state.averaged.network.state_dict()
        assert state.step == 0
        assert all(torch.allclose(found[name], kept[name]) for name in kept)
    wide = msgspec.structs.replace(short, narrow=0.125)
    with pytest.raises(CheckpointError, match="another layout"):
        open_state(tmp_path / "none", wide, CPU, first)
    smaller = msgspec.structs.replace(RECIPE, steps=1)
    with pytest.raises(CheckpointError, match="grown to 128 pixels"):
        train([eight], tmp_path / "second", smaller, held_out=0, threads=1, start=tmp_path / "first")


def test_a_run_ends_when_its_minutes_are_over(eight: Path, tmp_path: Path) -> None:
    config = msgspec.structs.replace(RECIPE, steps=None, minutes=0.01)
    train([eight], tmp_path / "run", config, held_out=2, threads=1)
    assert rows(tmp_path / "run")[-1]["seconds"] >= 0.6
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_a_checkpoint_of_another_layout_is_one_clear_line(
    eight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    state = open_state(run, RECIPE, CPU)
    save_state(run / "checkpoint.pt", state, RECIPE.phases[0].adversarial)
    assert main(["run", str(eight), "-o", str(run), "--held-out", "0", "--steps", "1"]) == 2
    error = capsys.readouterr().err
    assert "does not fit" in error
    assert "Traceback" not in error


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(eight: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    state = open_state(run, RECIPE, CPU)
    next(state.network.parameters()).data.fill_(math.nan)
    save_state(run / "checkpoint.pt", state, RECIPE.phases[0].adversarial)
    before = (run / "checkpoint.pt").read_bytes()
    with pytest.raises(CheckpointError, match="not a number"):
        train([eight], run, RECIPE, held_out=2, threads=1)
    assert (run / "checkpoint.pt").read_bytes() == before


@pytest.mark.parametrize("name", ["cpu", "gpu", "rehearsal"])
def test_the_configurations_that_come_along_are_found_by_name(name: str) -> None:
    config = read_config(Path(name))
    assert config == read_config(BUNDLED / f"{name}.toml")
    assert config.phases[-1].adversarial.weight > 0
    assert config.minutes


@pytest.fixture
def here(tmp_path: Path) -> Iterator[tuple[Listener, Path]]:
    """A program that has this process run `python -m training …`: loading PyTorch each time takes seconds."""
    with Listener() as listener:
        program = tmp_path / "python"
        program.write_text(
            f"#!{sys.executable}\nimport sys\nfrom multiprocessing.connection import Client\n"
            f"with Client({listener.address!r}) as connection:\n"
            "    connection.send(sys.argv[1:])\n    sys.exit(connection.recv())\n"
        )
        program.chmod(0o755)
        yield listener, program


def test_the_command_for_a_lent_gpu_rehearses_trains_and_leaves_parts(
    eight: Path, tmp_path: Path, here: tuple[Listener, Path]
) -> None:
    pack, out, run = tmp_path / "pack", tmp_path / "out", tmp_path / "run"
    assert main(["pack", str(eight), "-o", str(pack / "faces"), "--edge", "128"]) == 0
    assert all(cv2.imread(str(path)).shape == (128, 128, 3) for path in (pack / "faces").iterdir())
    tiny = tmp_path / "tiny.toml"
    tiny.write_text((BUNDLED / "rehearsal.toml").read_text().replace("size = 64", "size = 128"))
    listener, program = here
    more = ["--held-out", "2", "--threads", "1", "--workers", "1"]
    command = ["bash", "training/gpu.sh", pack, out, "0.01", tiny, *more]
    environment = {**os.environ, "RUN": str(run), "PYTHON": str(program), "REHEARSAL": "0.005"}
    done: list[subprocess.CompletedProcess[str]] = []

    def follow() -> None:
        root = Path(training.__file__).parents[1]
        done.append(subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True))
        with Client(listener.address) as connection:
            connection.send(None)

    script = Thread(target=follow)
    script.start()
    commands = []
    while True:
        with listener.accept() as connection:
            if (arguments := connection.recv()) is None:
                break
            commands.append(arguments[:3])
            connection.send(main(arguments[2:]))
    script.join()
    assert commands == [["-m", "training", name] for name in ("run", "run", "split")]
    assert done[0].returncode == 0, done[0].stderr
    assert (tmp_path / "run-rehearsal" / "weights.safetensors").exists()
    assert {"checkpoint.pt.000", "checkpoint.pt.parts.json", "run.tar"} <= {
        path.name for path in out.iterdir()
    }
    resumed = open_state(out, read_config(tiny), CPU)
    assert resumed.network.resolution == 128
    assert resumed.crops > 0


def test_the_command_writes_weights_of_the_published_layout(portraits: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        "size = 64\nnarrow = 0.0625\nstyle_dim = 32\nn_mlp = 2\nminutes = 1\nreservoir = 32\n"
        "[[phases]]\nsize = 64\nbatch = 1\n"
    )
    run = tmp_path / "run"
    arguments = f"run {portraits} -o {run} --config {config} --steps 1 --held-out 1 --threads 1"
    assert main(arguments.split()) == 0
    assert load_checkpoint(run / "weights.safetensors").layout == TINY


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size = 100\nsteps = 9\n[[phases]]\nsize = 100", "size 100"),
        ("speed = 3", "speed"),
        ("steps = 'many'", "steps"),
        ("steps =", "configuration"),
        ("steps = 0\n[[phases]]\nsize = 256", "steps or minutes"),
        ("steps = 9\nminutes = 9\n[[phases]]\nsize = 256", "steps or minutes"),
        ("phases = []\nsteps = 9", "phases of no size"),
        ("steps = 9\n[[phases]]\nsize = 64\n[[phases]]\nsize = 256", "phases of 64, 256"),
        ("narrow = 0.01\nsteps = 9\n[[phases]]\nsize = 256", r"narrow 0\.01"),
        ("[[phases]]\nsize = 64\nbatch = 0", "batch, share and learning_rate"),
        ("[[phases]]\nsize = 64\nown = 2", "settled and own"),
        ("[[phases]]\nsize = 64\n[phases.loss]\npixels = -1", "loss weight pixels is -1"),
        ("[[phases]]\nsize = 64\n[phases.loss]\nknee = 0", "loss knee is 0"),
        ("[[phases]]\nsize = 64\n[phases.adversarial]\nramp = 0", "r1_every must be 1 or more"),
        ("[augmentation]\nshift = 2", "augmentation shift is 2"),
        ("[[phases]]\nsize = 64\n[phases.degradation]\ngrey = 2", "degradation grey is 2"),
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


def test_degradation_is_seeded_and_worse_for_wider_ranges(
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


def test_the_rate_warms_up_and_falls_to_the_share_that_is_left() -> None:
    phase = Phase(size=64, warmup=100, learning_rate=1e-3, settled=0.05)
    assert learning_rate(phase, 0, 0.0) == pytest.approx(1e-5)
    assert learning_rate(phase, 100, 0.1) == pytest.approx(1e-3, rel=0.03)
    assert learning_rate(phase, 1000, 1.0) == pytest.approx(5e-5)
    assert learning_rate(Phase(size=64, learning_rate=1e-3), 1000, 0.9) == pytest.approx(1e-3)


def test_phases_take_their_shares_of_the_steps_or_of_the_time() -> None:
    phases = (Phase(size=64, share=1), Phase(size=128, share=3))
    by_steps = TrainingConfig(phases=phases, size=128, steps=100)
    assert by_steps.at(by_steps.progress(24, 0)) == (0, pytest.approx(0.96))
    assert by_steps.at(by_steps.progress(40, 0)) == (1, pytest.approx(0.2))
    assert by_steps.at(by_steps.progress(200, 0)) == (1, 1.0)
    by_time = TrainingConfig(phases=phases, size=128, minutes=2)
    assert by_time.at(by_time.progress(0, 90)) == (1, pytest.approx(2 / 3))
