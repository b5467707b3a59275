"""Train the network that sees covers, and write it as ONNX.

    python -m training.covered.run PORTRAITS.npz OUT [MINUTES [WEIGHTS]]

PORTRAITS.npz holds aligned portraits in `jpeg`, objects of bytes; the last ones are for validation. Processes
draw samples into a pool; from there each is used several times, in other light and noise. WEIGHTS is a file
of an earlier run, such as the bundled one, whose training goes on. In the bundled one 0.4 was
added to the last bias, which finds nearly as many covers as before shaded eyes were among the samples.
"""

import multiprocessing
import queue
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from base.parallel import cores
from export.storage import STORED, store_halved
from runtime.faces.covered import INPUT
from training.covered.network import CoveredNet
from training.covered.samples import sample

POOL, CHUNK = 60_000, 32
BATCH = {"cuda": 512, "cpu": 128}
FASTEST = 4e-3
"""Rate of learning with 512 samples a step."""
MEASURED = 512
"""Samples from which statistics are taken."""
HELD_OUT = 36


def read(path: Path) -> list[NDArray[np.uint8]]:
    """Return the portraits."""
    stored = np.load(path, allow_pickle=True)["jpeg"]
    return [
        np.asarray(cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
        for one in stored
    ]


def _draw(
    portraits: list[NDArray[np.uint8]],
    seed: int,
    out: "multiprocessing.Queue[tuple[NDArray[np.uint8], NDArray[np.uint8]]]",
) -> None:
    cv2.setNumThreads(1)
    random = np.random.default_rng(seed)
    while True:
        pictures, labels = zip(*(sample(portraits, random) for _ in range(CHUNK)), strict=True)
        out.put((np.stack(pictures), np.stack(labels)))


def loss_of(odds: Tensor, label: Tensor) -> Tensor:
    """Return the mean cross entropy over the judged pixels, the face's middle counting most."""
    small = label[:, ::2, ::2]
    target = (small == 1).float()
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, odds.shape[-1], device=odds.device)] * 2, indexing="ij")
    near = 0.15 + torch.exp(-((x / 0.75) ** 4) - ((y / 0.85) ** 4))
    weight = (small != 2).float() * near
    loss = torch.nn.functional.binary_cross_entropy_with_logits(odds[:, 0], target, reduction="none")
    return (loss * weight).sum() / weight.sum()


def drawn(portraits: list[NDArray[np.uint8]], count: int) -> tuple[Tensor, Tensor]:
    """Return samples, always the same for the same portraits: B×3×N×N in [0, 1], and their labels."""
    random = np.random.default_rng(1)
    pictures, labels = zip(*(sample(portraits, random) for _ in range(count)), strict=True)
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255, torch.from_numpy(np.stack(labels))


def opened(path: Path, pictures: Tensor) -> CoveredNet:
    """Return the network of a file that `export` wrote, as its training goes on.

    pictures  B×3×N×N in [0, 1], from which the statistics come that the file's weights have taken in
    """
    graph = onnx.load(path).graph
    stored = {tensor.name.removesuffix(STORED): numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernels = iter([node.input[1:] for node in graph.node if node.op_type == "Conv"])
    network = CoveredNet().eval()

    def measured(norm: torch.nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        norm.running_var, norm.running_mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.add_(norm.running_mean)

    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                weight, shift = (torch.tensor(stored[name]).float() for name in next(kernels))
                layer.weight.copy_(weight)
                if layer.bias is not None:
                    layer.bias.copy_(shift)
            elif isinstance(layer, torch.nn.BatchNorm2d):
                layer.bias.copy_(shift)
        hooks = [
            layer.register_forward_pre_hook(measured)
            for layer in network.modules()
            if isinstance(layer, torch.nn.BatchNorm2d)
        ]
        network(pictures)
        for hook in hooks:
            hook.remove()
    return network


def train(
    portraits: list[NDArray[np.uint8]], minutes: float, device: str, weights: Path | None
) -> CoveredNet:
    """Return a network after training it for a time."""
    torch.backends.cudnn.benchmark = True
    chunks: multiprocessing.Queue[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = multiprocessing.Queue(256)
    drawers = [
        multiprocessing.Process(target=_draw, args=(portraits, seed, chunks), daemon=True)
        for seed in range(max(1, cores() - 1))
    ]
    for drawer in drawers:
        drawer.start()
    network = (opened(weights, drawn(portraits, MEASURED)[0]) if weights else CoveredNet()).to(device).train()
    batch = BATCH[device]
    fastest = FASTEST * (batch / 512) ** 0.5 / (2 if weights else 1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=FASTEST, weight_decay=0.02)
    pool = torch.zeros(POOL, 3, INPUT, INPUT, dtype=torch.uint8, device=device)
    labels = torch.full((POOL, INPUT, INPUT), 2, dtype=torch.uint8, device=device)
    filled = made = steps = 0
    begun = time.monotonic()
    while (done := (time.monotonic() - begun) / (60 * minutes)) < 1:
        try:
            while True:
                pictures, label = chunks.get(block=filled < 4 * batch, timeout=60)
                where = torch.arange(made, made + len(label)) % POOL
                pool[where] = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device)
                labels[where] = torch.from_numpy(label).to(device)
                made += len(label)
                filled = min(made, POOL)
        except queue.Empty:
            pass
        for group in optimiser.param_groups:
            group["lr"] = fastest * min(1, steps / 100) * (0.5 + 0.5 * np.cos(np.pi * done))
        chosen = torch.randint(filled, (batch,), device=device)
        picture = pool[chosen].float() / 255
        gain = torch.exp(0.15 * torch.randn(batch, 3, 1, 1, device=device))
        noise = torch.randn_like(picture) * 0.03 * torch.rand(batch, 1, 1, 1, device=device) ** 2
        picture = (picture * gain + noise).clamp(0, 1)
        with torch.autocast(device, dtype=torch.bfloat16):
            odds = network(picture)
        loss = loss_of(odds.float(), labels[chosen])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        steps += 1
        if steps % 200 == 0:
            sys.stdout.write(f"{done:.0%} step {steps} samples {made} loss {loss.item():.4f}\n")
    for drawer in drawers:
        drawer.terminate()
    return network.eval()


def export(network: CoveredNet, path: Path) -> None:
    """Write the network with its sigmoid as ONNX, its weights in FP16."""
    whole = torch.nn.Sequential(network, torch.nn.Sigmoid()).cpu().eval()
    example = torch.zeros(1, 3, INPUT, INPUT)
    torch.onnx.export(
        whole,
        (example,),
        str(path),
        input_names=["window"],
        output_names=["covered"],
        dynamo=False,
        opset_version=17,
    )
    onnx.save(store_halved(onnx.load(path)), path)


def main() -> None:
    """Train, report the accuracy on the validation portraits, and write the files."""
    portraits, out = read(Path(sys.argv[1])), Path(sys.argv[2])
    minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 4.0
    weights = Path(sys.argv[4]) if len(sys.argv) > 4 else None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = train(portraits[:-HELD_OUT], minutes, device, weights)
    out.mkdir(parents=True, exist_ok=True)
    pictures, labels = drawn(portraits[-HELD_OUT:], 512)
    with torch.no_grad():
        odds = network(pictures.to(device))
    sys.stdout.write(f"validation loss {loss_of(odds, labels.to(device)).item():.4f}\n")
    export(network, out / "covered.onnx")


if __name__ == "__main__":
    main()
