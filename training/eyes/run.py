"""Train the network that draws eyes again, and write it as ONNX.

    python -m training.eyes.run OUT MINUTES PORTRAITS...

PORTRAITS are folders of aligned portraits. Processes make pairs of them with the bundled package, slowly; in
OUT/pairs they are kept and used again. OUT/state.pt holds the state; a further call goes on from it
for so many minutes more. OUT/eyes.onnx is the result, an average over the training.
"""

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from base.errors import GpenEdgeError
from base.files import write_atomically
from base.parallel import cores
from portraits.damage import Portrait
from portraits.reading import load_portraits
from training.adversary import Judge
from training.averaging import move_average
from training.eyes.network import EyesNet, export, new_judge
from training.eyes.pairs import BLOCK, keep_making

BATCH = 16
MOST_PAIRS = 16_000
"""Pairs are made up to this number."""
FEWEST_PAIRS = 64
"""Training begins with this number."""

RATE = 2e-4
WEIGHT = 0.13
"""Size of the adversary's gradient relative to the reconstruction's. More forms eyes sooner, but also draws
veins: the bundled weights began with 0.2 to 0.7, for 11 000 steps, and ended with 4 000 of 0.13.
"""
MATCHING = 3.0
"""Weight of feature matching relative to fooling the adversary (pix2pixHD, equation 3)."""
ALONE, RAMP = 100, 500
"""Steps before the adversary begins, and after which it has its full weight."""
EASY, HARD = 0.02, 0.08
"""Mean difference of the restored strip from the truth, in [−1, 1]: up to the first the adversary has no say,
from the second on its full say. So a good crop stays."""
CARE = 3.0
"""Weight of the reconstruction where the adversary has no say; it is 1 where that has its full say."""
EMA = 0.999
GREY, LIGHT = 0.15, 0.5
"""Shares of the pairs that are made grey, and whose light is changed."""
SHIFT = (3, 5)
"""Pixels by which a pair is shifted at most, along y and x."""
SAVED = 120.0
"""Seconds between two saved states."""

Strips = tuple[Tensor, Tensor, Tensor]
"""What the restoring network was shown, its result, and the truth: B×3×H×W in [−1, 1] each."""


@dataclass
class State:
    """The state of a training."""

    network: EyesNet
    judge: Judge
    step: int = 0
    sizes: dict[str, float] = field(default_factory=dict)
    """Running means of the norms of the adversary's and the reconstruction's gradient."""

    def __post_init__(self) -> None:
        self.averaged = deepcopy(self.network).eval()
        self.optimiser = torch.optim.Adam(self.network.parameters(), RATE, betas=(0.5, 0.99))
        self.judge_optimiser = torch.optim.Adam(self.judge.parameters(), RATE, betas=(0.0, 0.99))

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "judge": self.judge,
            "averaged": self.averaged,
            "optimiser": self.optimiser,
            "judge_optimiser": self.judge_optimiser,
        }

    def save(self, path: Path) -> None:
        """Write the state."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        with write_atomically(path) as file:
            torch.save({**parts, "step": self.step, "sizes": self.sizes}, file)

    def load(self, path: Path, device: torch.device) -> None:
        """Go on from a file."""
        saved = torch.load(path, map_location=device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self.step, self.sizes = saved["step"], saved["sizes"]


class Pool:
    """The pairs in a folder, which are read as they are drawn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blocks: dict[Path, NDArray[np.uint8]] = {}

    def look(self) -> int:
        """Look for new files; return the number of pairs."""
        for path in set(self._folder.glob("*.npy")) - self._blocks.keys():
            self._blocks[path] = np.load(path, mmap_mode="r")
        return len(self._blocks) * BLOCK

    def batch(self, rng: Generator, device: torch.device) -> Strips:
        """Return a batch, each pair changed at random as a whole."""
        blocks = list(self._blocks.values())
        chosen = [blocks[rng.integers(len(blocks))][rng.integers(BLOCK)] for _ in range(BATCH)]
        pairs = np.stack([augmented(pair, rng) for pair in chosen])
        strips = torch.from_numpy(pairs).to(device) * 2 - 1
        crop, restored, truth = (
            each.contiguous(memory_format=torch.channels_last) for each in strips.unbind(1)
        )
        return crop, restored, truth


def augmented(pair: NDArray[np.uint8], rng: Generator) -> NDArray[np.float32]:
    """Return a pair mirrored, shifted, made grey and changed in brightness and contrast, each at random.

    pair  3×3×H×W: what the restoring network was shown, its result, and the truth

    The result is 3×3×H×W in [0, 1].
    """
    changed = pair.astype(np.float32) / 255
    if rng.random() < 0.5:
        changed = changed[..., ::-1]
    if rng.random() < GREY:
        changed = np.broadcast_to(changed.mean(1, keepdims=True), changed.shape)
    if rng.random() < LIGHT:
        changed = np.clip(changed ** np.exp(rng.normal(0, 0.2)) * rng.uniform(0.8, 1.1), 0, 1)
    (y, x), (_, _, height, width) = (rng.integers(0, 2 * side + 1) for side in SHIFT), changed.shape
    margins = [(0, 0), (0, 0), *((side, side) for side in SHIFT)]
    return np.pad(changed, margins, "edge")[..., y : y + height, x : x + width].astype(np.float32)


@contextmanager
def makers(portraits: Sequence[Portrait], folder: Path, seed: int) -> Iterator[list[SpawnProcess]]:
    """Have processes make pairs in the meantime, and yield them."""
    context = multiprocessing.get_context("spawn")  # a fork would share the threads of open networks
    made = [
        context.Process(
            target=keep_making, args=(portraits, folder, (seed, i), MOST_PAIRS // BLOCK), daemon=True
        )
        for i in range(max(1, cores() - 1))
    ]
    for process in made:
        process.start()
    try:
        yield made
    finally:
        for process in made:
            process.terminate()
            process.join()


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than FP32; CPUs without instructions for it imitate it slowly."""
    if device.type == "cuda":
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def reconstruction_loss(error: Tensor) -> Tensor:
    """Return the mean error, plus that of its slopes at two scales."""
    loss = error.abs().mean()
    for _ in range(2):
        for axis in (2, 3):
            loss = loss + torch.diff(error, dim=axis).abs().mean() / 2
        error = F.avg_pool2d(error, 2)
    return loss


def take_step(state: State, strips: Strips, *, bfloat16: bool) -> dict[str, float]:
    """Update both networks and the average; return the losses."""
    crop, restored, truth = strips
    low = torch.autocast(crop.device.type, torch.bfloat16, enabled=bfloat16)
    with low:
        made = state.network(crop, restored).float()
    seen = made.detach().requires_grad_()
    hard = (((restored - truth).abs().mean((1, 2, 3), keepdim=True) - EASY) / (HARD - EASY)).clamp(0, 1)
    care = CARE - (CARE - 1) * hard
    loss = reconstruction_loss(care * (seen - truth))
    (gradient,) = torch.autograd.grad(loss, seen)
    losses = {"loss": loss.item(), "before": reconstruction_loss(care * (restored - truth)).item()}
    if state.step >= ALONE:
        with low:
            fooled = fooling_loss(state.judge, crop, seen, truth, hard)
        (wanted,) = torch.autograd.grad(fooled, seen)
        gradient = gradient + _share(state, wanted, gradient) * wanted
    state.optimiser.zero_grad()
    made.backward(gradient)
    state.optimiser.step()
    if state.step >= ALONE:
        with low:
            judged = judging_loss(state.judge, crop, made.detach(), truth)
        state.judge_optimiser.zero_grad()
        judged.backward()  # type: ignore[no-untyped-call]
        state.judge_optimiser.step()
        losses["judge"] = judged.item()
    state.step += 1
    move_average(list(state.averaged.parameters()), list(state.network.parameters()), state.step, EMA)
    return losses


def _share(state: State, wanted: Tensor, gradient: Tensor) -> float:
    """Return the factor of the adversary's gradient, in proportion to the reconstruction's.

    Both sizes are running means; a batch with many hard crops counts more.
    """
    decay = min(0.98, (state.step - ALONE) / (state.step - ALONE + 1))
    now = {"adversary": float(wanted.norm()), "reconstruction": float(gradient.norm())}
    for name, size in now.items():
        state.sizes[name] = decay * state.sizes.get(name, 0.0) + (1 - decay) * size
    ramp = min(1.0, state.step / RAMP)
    largest = max(state.sizes["adversary"], now["adversary"], 1e-20)
    return float(WEIGHT * ramp * state.sizes["reconstruction"] / largest)


def fooling_loss(judge: Judge, crop: Tensor, made: Tensor, truth: Tensor, share: Tensor) -> Tensor:
    """Return the loss of what the network draws before the adversary, with feature matching.

    share  B×1×1×1, how far each crop counts
    """
    judge.requires_grad_(False)
    with torch.no_grad():
        real = judge(crop, truth)
    loss = torch.zeros((), device=crop.device)
    for drawn, expected in zip(judge(crop, made), real, strict=True):
        loss = loss - (share * drawn[-1].float()).mean() / len(real)
        for a, b in zip(drawn[:-1], expected[:-1], strict=True):
            matching = (share * (a - b).abs().float()).mean()
            loss = loss + MATCHING * matching / (len(real) * (len(drawn) - 1))
    judge.requires_grad_(True)
    return loss


def judging_loss(judge: Judge, crop: Tensor, made: Tensor, truth: Tensor) -> Tensor:
    """Return the adversary's hinge loss (Lim and Ye, "Geometric GAN", 2017)."""
    loss = torch.zeros((), device=crop.device)
    for real, drawn in zip(judge(crop, truth), judge(crop, made), strict=True):
        loss = loss + (F.relu(1 - real[-1].float()).mean() + F.relu(1 + drawn[-1].float()).mean()) / 2
    return loss


def train(portraits: Sequence[Portrait], out: Path, minutes: float) -> Path:
    """Train for a time and return the ONNX file."""
    pairs, path = out / "pairs", out / "state.pt"
    pairs.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":  # the makers of pairs take the other cores
        torch.set_num_threads(1)
    network, judge = EyesNet().to(device), new_judge().to(device)
    for part in (network, judge):
        part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = State(network, judge)
    if path.exists():
        state.load(path, device)
    seed, pool = time.time_ns(), Pool(pairs)
    rng, bfloat16 = np.random.default_rng(seed), has_fast_bfloat16(device)
    with makers(portraits, pairs, seed) as making:
        while pool.look() < min(FEWEST_PAIRS, MOST_PAIRS):
            if not any(process.is_alive() for process in making):
                raise GpenEdgeError(f"no pairs could be made in {pairs}: see the messages above")
            time.sleep(0.1)
        begun = saved = time.monotonic()
        while (now := time.monotonic()) - begun < 60 * minutes:
            losses = take_step(state, pool.batch(rng, device), bfloat16=bfloat16)
            if now - saved > SAVED:
                saved, count = now, pool.look()
                state.save(path)
                shown = " ".join(f"{name} {value:.4f}" for name, value in losses.items())
                sys.stdout.write(f"step {state.step} pairs {count} {shown}\n")
    state.save(path)
    export(state.averaged, out / "eyes.onnx")
    return out / "eyes.onnx"


def main() -> None:
    """Read the portraits, train, and write the file."""
    out, minutes, *folders = sys.argv[1:]
    portraits = [portrait for folder in folders for portrait in load_portraits(Path(folder))]
    sys.stdout.write(f"{train(portraits, Path(out), float(minutes))}\n")


if __name__ == "__main__":
    main()
