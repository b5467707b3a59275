"""Train the photo network within a time limit."""

import csv
import math
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from export.photo.exporter import load_photo_network
from export.photo.network import PhotoNetwork
from training.averaging import move_average
from training.photo.damage import damaged
from training.photo.patches import draw_patches, load_crops

SEED = 1
EDGE = 112
"""Edge of a patch in pixels. It is damaged with 16 more, so that blocks of JPEG start anywhere."""
MARGIN = 12
"""Pixels at a patch's edge that do not count, because a convolution sees nothing beyond it."""
RATE, SETTLING = 2e-3, 0.01
"""The learning rate, and the share of the time in which it rises to it; then it falls by a cosine."""
RATE_FROM_WEIGHTS = 6e-4
"""The learning rate where the training starts from weights."""
DECAY = 0.999
"""Decay of the moving average of the weights, which is the result."""
FLOORS = (8 / 255, 1 / 255)
"""First and last root mean square that is added to a patch's error, of which the loss is the logarithm. A low
one makes every decibel count the same, but a network that starts with it learns to change nothing."""
REPORT = 10.0
"""Seconds between two lines of the log."""
POOL, REUSED = 16, 2
"""On a CPU, where damaging a patch takes longer than learning from it: patches are drawn from the last POOL
batches, and each is used about REUSED times."""


def train(
    pack: Path,
    output: Path,
    minutes: float,
    *,
    batch: int = 192,
    device: str | None = None,
    start: Path | None = None,
) -> Path:
    """Train on a pack's crops; return the file of the weights. `output` also receives log.csv.

    start  weights, or an FP32 package, to go on from; None starts from nothing

    Raises PhotoError for a bad pack, and CheckpointError or PackageError for bad weights.
    """
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = False  # the damage must be exact
    crops = load_crops(pack, where)
    patches = _Patches(crops, batch)
    network = (load_photo_network(start).train() if start else PhotoNetwork()).to(where)
    rate, first_floor = (RATE_FROM_WEIGHTS, FLOORS[1]) if start else (RATE, FLOORS[0])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = {name: value.detach().clone() for name, value in network.state_dict().items()}
    weights = list(network.parameters())
    optimiser = torch.optim.Adam(weights, lr=RATE, betas=(0.9, 0.99), fused=where.type == "cuda")
    file = output / "photo.safetensors"
    with (output / "log.csv").open("w", newline="") as log:
        writer = csv.writer(log)
        writer.writerow(["seconds", "steps", "rate", "loss", "gain_db"])
        begun, reported, steps, since = time.monotonic(), 0.0, 0, 0
        sums = torch.zeros(2, device=where)
        while (gone := time.monotonic() - begun) < 60 * minutes:
            done = gone / (60 * minutes)
            for group in optimiser.param_groups:
                group["lr"] = rate * _share(done)
            sums += _step(network, optimiser, *patches.draw(), first_floor ** (1 - done) * FLOORS[1] ** done)
            steps, since = steps + 1, since + 1
            move_average([*averaged.values()], [*network.state_dict().values()], steps, DECAY)
            if gone - reported > REPORT:
                loss, gain = (sums / since).tolist()
                writer.writerow(
                    [f"{gone:.1f}", steps, f"{rate * _share(done):.2e}", f"{loss:.4f}", f"{gain:.3f}"]
                )
                log.flush()
                sums.zero_()
                reported, since = gone, 0
                _save(averaged, file)
    _save(averaged, file)
    return file


def _share(done: float) -> float:
    """Return the share of the learning rate after a share of the time."""
    if done < SETTLING:
        return max(done / SETTLING, 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - SETTLING) / (1 - SETTLING))) + 1e-3


class _Patches:
    """Clean and damaged patches, B×3×(EDGE + 16)×(EDGE + 16), in batches."""

    def __init__(self, crops: Tensor, batch: int) -> None:
        self._crops, self._batch = crops, batch
        self._pool: tuple[Tensor, Tensor] | None = None

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return a batch: new on a GPU, on a CPU partly of patches that were used before."""
        if self._crops.device.type == "cuda":
            return self._new(self._batch)
        if self._pool is None:
            self._pool = self._new(self._batch * POOL)
        places = torch.randperm(self._batch * POOL)[: max(3, self._batch // REUSED)]
        for held, new in zip(self._pool, self._new(len(places)), strict=True):
            held[places] = new
        which = torch.randint(self._batch * POOL, (self._batch,))
        clean, shown = self._pool
        return clean[which], shown[which]

    def _new(self, count: int) -> tuple[Tensor, Tensor]:
        clean = draw_patches(self._crops, count, EDGE + 16)
        return clean, damaged(clean)


def _step(
    network: nn.Module, optimiser: torch.optim.Optimizer, clean: Tensor, shown: Tensor, floor: float
) -> Tensor:
    """Train one step; return the loss and the gain over the damaged patches in dB."""
    dy, dx = torch.randint(16, (2,)).tolist()
    if torch.rand(()) < 0.4:  # as in most photos, the blocks begin at the edge
        dy, dx = dy // 8 * 8, dx // 8 * 8
    inner = slice(MARGIN, EDGE - MARGIN)
    clean, shown = (each[..., dy : dy + EDGE, dx : dx + EDGE] for each in (clean, shown))
    target, before = clean[..., inner, inner], shown[..., inner, inner]
    with torch.autocast(shown.device.type, torch.bfloat16):
        change = network(shown)
    after = before + change.float()[..., inner, inner]
    wrong, left = ((each - target).square().mean(dim=(1, 2, 3)) for each in (before, after))
    loss = (left + floor**2).log().mean()
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=True)
    optimiser.step()
    with torch.no_grad():
        gain = 10 * torch.log10(wrong.clamp_min(1e-6) / left.clamp_min(1e-6))
        return torch.stack([loss.detach(), gain.mean()])


def _save(averaged: dict[str, Tensor], file: Path) -> None:
    part = file.with_suffix(".part")
    save_file({name: value.cpu().contiguous() for name, value in averaged.items()}, part)
    part.replace(file)
