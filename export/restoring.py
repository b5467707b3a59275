"""A face-restoring network for the exporter, and the graphs of its package.

A restoring network consists of an encoder, a mapping network and a generator. Each kind has its own folder
and one row in `export/architectures.py`; no kind is named here or in the modules that use this one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from engines.package import GraphName, Number, Template
from export.tracing import TracedGraph

Form = Literal["exact", "winograd", "half"]
"""Arithmetic of the convolutions: FP32; FP32 with Winograd's algorithm, for CPUs; FP16, for GPUs."""

Expected = dict[GraphName, tuple[dict[str, Tensor], list[Tensor]]]
"""For each graph its inputs and expected outputs."""

TINY = 1e-12
"""Keeps 0 / 0 at 0, where nothing moves."""


@dataclass(frozen=True)
class Parts:
    """The three functions of a restoring network, in some form."""

    encode: Callable[[Tensor], tuple[Tensor, list[Tensor]]]
    """Crops, B×3×S×S in [−1, 1] → z, B×latent width, and the features."""
    map_latent: Callable[[Tensor], Tensor]
    """z → w, B×latent width both."""
    generate: Callable[[Tensor, list[Tensor]], Tensor]
    """w and the features → restored crops, B×3×S×S."""

    def restore(self, crop: Tensor) -> Tensor:
        """Restore crops, B×3×S×S in [−1, 1], in a single pass."""
        z, features = self.encode(crop)
        return self.generate(self.map_latent(z), features)


@dataclass(frozen=True, kw_only=True, eq=False)
class RestoringNetwork:
    """A published network with its weights, and its entries for the manifest."""

    size: int
    """S: height and width of the crops."""
    numbers: Mapping[str, str | Number]
    """Sizes that were read off the tensors, for the manifest."""
    template: Template
    """Positions of eyes, nose and mouth in the crops that it was trained on."""
    licence: str
    """Of the published weights."""
    held: bool = False
    """Whether the loop keeps the first latent until `python -m calibration latents` finds that updating it
    helps.
    """
    latent: int
    """Width of z and of w."""
    features: Mapping[str, tuple[int, int, int]]
    """Name and C×H×W of each feature, in the encoder's order."""
    module: nn.Module
    """As published, whole: crops, B×3×S×S in [−1, 1] → restored crops. The benchmarks' baseline."""
    published: Parts
    """As published: the reference for every graph."""
    constant: Callable[[Form], Parts]
    """With weights that do not depend on the latent: the form that is exported. Its tensors must not require
    gradients."""
    without_noise: "Callable[[], RestoringNetwork] | None" = None
    """Returns the same network without its generator's noise; None if it adds none."""


def traced_graphs(
    network: RestoringNetwork, *, fused: bool, form: Form = "exact", renewed: bool = False
) -> dict[GraphName, TracedGraph]:
    """Return the graphs of a package, with FP32 inputs and outputs whatever they compute in.

    Only the shapes of their example inputs matter. The batch is empty: tracing needs no arithmetic, and
    PyTorch's in half precision takes minutes on a CPU.

    renewed  whether the step only moves the estimate, because the loop re-encodes it
    """
    parts, size = network.constant(form), network.size
    crop, latent = torch.zeros(0, 3, size, size), torch.zeros(0, network.latent)
    features = {name: torch.zeros(0, *shape) for name, shape in network.features.items()}
    pictures = {
        "estimate": crop,
        "restored": crop.clone(),
        "picture_gain": torch.zeros(0, 1, size, size),
    }
    latents = {"w": latent, "latent_gain": torch.zeros(0, 1)}
    graphs: dict[GraphName, TracedGraph] = {
        "encoder": TracedGraph(lambda crop: _flat(*parts.encode(crop)), {"crop": crop}, ("z", *features)),
        "mapping": TracedGraph(parts.map_latent, {"z": latent}, ("w",)),
        "generator": TracedGraph(
            lambda w, *features: parts.generate(w, list(features)),
            {"w": latent, **features},
            ("restored",),
        ),
        "step": TracedGraph(move, pictures, ("next_estimate", "change"))
        if renewed
        else TracedGraph(
            lambda *inputs: step(parts, *inputs), pictures | latents, ("next_estimate", "next_w", "change")
        ),
    }
    if fused:
        graphs["fused"] = TracedGraph(parts.restore, {"input": crop}, ("output",))
    return graphs


def expected_of(network: RestoringNetwork, crops: Tensor, *, renewed: bool) -> Expected:
    """Return each graph's inputs and the published network's results for them.

    The published network sees one crop at a time, as it takes most of the memory of an export.
    """
    each = [_expected(network, crop, renewed=renewed) for crop in torch.split(crops, 1)]
    return {
        name: (
            {key: torch.cat([one[name][0][key] for one in each]) for key in inputs},
            [torch.cat(values) for values in zip(*(one[name][1] for one in each), strict=True)],
        )
        for name, (inputs, _) in each[0].items()
    }


@torch.no_grad()
def _expected(network: RestoringNetwork, crops: Tensor, *, renewed: bool) -> Expected:
    published = network.published
    z, features = published.encode(crops)
    w = published.map_latent(z)
    restored = published.generate(w, features)
    named = dict(zip(network.features, features, strict=True))

    # The step moves its estimate to the crop, whose z is known: u + g (r − u) = crop for every gain g.
    away = crops.flip(3) - crops
    picture_gain = torch.linspace(0, 1, network.size).expand(len(crops), 1, network.size, -1)
    estimate, towards = crops + picture_gain * away, crops - (1 - picture_gain) * away
    pictures = {"estimate": estimate, "restored": towards, "picture_gain": picture_gain}
    moving = picture_gain.mean(dim=(1, 2, 3)) / picture_gain.amax(dim=(1, 2, 3))
    moved = ((estimate - crops).square().mean(dim=(1, 2, 3)) / moving).sqrt()[:, None] / 2

    latent_gain = torch.full((len(crops), 1), 0.3)
    before = w.roll(1, dims=1)
    stepped = before + latent_gain * (w - before)
    change = (stepped - before).norm(dim=1, keepdim=True) / before.norm(dim=1, keepdim=True)
    return {
        "encoder": ({"crop": crops}, [z, *features]),
        "mapping": ({"z": z}, [w]),
        "generator": ({"w": w, **named}, [restored]),
        "step": (pictures, [crops, moved])
        if renewed
        else (pictures | {"w": before, "latent_gain": latent_gain}, [crops, stepped, change]),
        "fused": ({"input": crops}, [restored]),
    }


def step(
    parts: Parts, estimate: Tensor, restored: Tensor, picture_gain: Tensor, w: Tensor, latent_gain: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Make one half pass of the latent-decay loop (design §4): the estimate moves, then the latent.

    estimate, restored  B×3×S×S in [−1, 1]: u and r
    picture_gain        B×1×S×S: 1 − (1 − ηρ)^k
    w                   B×latent width
    latent_gain         B×1: 1 − (1 − η)^k

    Returns the next estimate, the next latent, and the latent's relative change, B×1.
    """
    estimate = estimate + picture_gain * (restored - estimate)
    z, _ = parts.encode(estimate)
    stepped = w + latent_gain * (parts.map_latent(z) - w)
    change = torch.linalg.vector_norm(stepped - w, dim=1, keepdim=True)
    return estimate, stepped, change / torch.linalg.vector_norm(w, dim=1, keepdim=True)


def move(estimate: Tensor, restored: Tensor, picture_gain: Tensor) -> tuple[Tensor, Tensor]:
    """Move only the estimate: the step of the renewed loop, whose passes re-encode it (design §4).

    estimate, restored  B×3×S×S in [−1, 1]: u and r
    picture_gain        B×1×S×S: 1 − (1 − ηρ)^k

    Returns the next estimate, and its RMS change over the moving pixels relative to the range of pixel
    values, B×1.
    """
    change = picture_gain * (restored - estimate)
    gains = picture_gain.flatten(1)
    # Row by row first: all at once, it takes ONNX Runtime 20 times as long on a GPU as the rest.
    largest = picture_gain.amax(dim=3).flatten(1).amax(dim=1, keepdim=True)
    moving = (gains / largest.clamp(min=TINY)).mean(dim=1, keepdim=True)
    squares = change.flatten(1).square().mean(dim=1, keepdim=True)
    return estimate + change, (squares / moving.clamp(min=TINY)).sqrt() / 2


def _flat(z: Tensor, features: list[Tensor]) -> tuple[Tensor, ...]:
    """Return the encoder's outputs, in FP32 even if it computes in FP16."""
    return z, *(f if f.dtype == torch.float32 else f.float() for f in features)
