"""Find how much of the arithmetic can be INT8 before picture quality suffers, layer by layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from base.decibels import decibels
from calibration.int8.insertion import Target, quantised
from calibration.int8.linear_weights import store_linear_weights
from calibration.int8.quantisable import Layer
from calibration.samples import Sample
from engines.package import RESTORING, GraphName
from export.rounding import Session, session_of

PEAK = 2.0
"""A picture's range: [−1, 1]."""
MOST = 99.0
"""dB reported for identical pictures."""


@dataclass(frozen=True)
class Quality:
    """Similarity of pictures to the FP32 package's, in dB."""

    psnr: float
    """From the mean squared error over all held-out portraits."""
    worst: float
    """Of the worst portrait."""


@dataclass(frozen=True)
class Step:
    """A layer that was tried together with those kept before it."""

    layer: Layer
    share: float
    """Share of the MACs in INT8, including this layer."""
    quality: Quality
    kept: bool


@dataclass(frozen=True)
class TradeOff:
    """The measurements and the resulting choice."""

    alone: tuple[Quality, ...]
    """Of each layer by itself, in the order of the layers."""
    steps: tuple[Step, ...]
    """From the lowest cost relative to its arithmetic to the highest."""

    @property
    def kept(self) -> list[Layer]:
        """The layers that are INT8."""
        return [step.layer for step in self.steps if step.kept]

    @property
    def last(self) -> Step | None:
        """The last step that was kept."""
        return next((step for step in reversed(self.steps) if step.kept), None)


def weigh(
    layers: Sequence[Layer],
    total: int,
    measure: Callable[[Sequence[Layer]], Quality],
    least_psnr: float,
    tick: Callable[[], None],
) -> TradeOff:
    """Add layers one by one, smallest error for its arithmetic first; skip those that fail the bar.

    total    MACs of the network
    measure  returns the quality with some layers in INT8
    tick     called after each measurement: twice as many as layers
    """
    alone = []
    for layer in layers:
        alone.append(measure([layer]))
        tick()
    costs = [10 ** (-quality.psnr / 10) / layer.macs for layer, quality in zip(layers, alone, strict=True)]
    kept: list[Layer] = []
    steps = []
    for i in sorted(range(len(layers)), key=lambda i: (costs[i], i)):
        tried = [*kept, layers[i]]
        quality = measure(tried)
        fits = quality.psnr >= least_psnr
        steps.append(Step(layers[i], sum(layer.macs for layer in tried) / total, quality, fits))
        kept = tried if fits else kept
        tick()
    return TradeOff(tuple(alone), tuple(steps))


class Judge:
    """Compares packages with some layers in INT8 with FP32, on portraits held out of the calibration."""

    def __init__(
        self,
        models: Mapping[GraphName, ModelProto],
        ranges: Mapping[GraphName, Mapping[str, float]],
        target: Target,
        held_out: Sequence[Sample],
        *,
        threads: int,
    ) -> None:
        self._models, self._ranges, self._target = models, ranges, target
        self._samples, self._threads = held_out, threads
        self._opened: dict[GraphName, tuple[object, Session]] = {}
        self._exact = self._pictures([], ())

    def __call__(self, layers: Sequence[Layer], linear: Sequence[GraphName] = ()) -> Quality:
        """Return the quality with these layers, and the weights of linear layers in these graphs, in INT8."""
        pictures = self._pictures(layers, linear)
        errors = [np.square(a - b).mean(dtype=np.float64) for a, b in zip(pictures, self._exact, strict=True)]
        return Quality(*(min(MOST, decibels(float(e), PEAK)) for e in (np.mean(errors), max(errors))))

    def _pictures(self, layers: Sequence[Layer], linear: Sequence[GraphName]) -> list[Sample]:
        sessions = [self._session(graph, layers, linear) for graph in RESTORING]
        pictures = []
        for sample in self._samples:
            values = {"crop": sample}
            for session in sessions:
                taken = {port.name: values.pop(port.name) for port in session.get_inputs()}
                made = session.run(None, taken)
                values |= {port.name: value for port, value in zip(session.get_outputs(), made, strict=True)}
            pictures.append(np.clip(values["restored"], -1, 1))
        return pictures

    def _session(self, graph: GraphName, layers: Sequence[Layer], linear: Sequence[GraphName]) -> Session:
        """Return a session of a graph: the last one, if the same was asked for, as for most graphs."""
        ours = [layer for layer in layers if layer.graph == graph]
        asked = (ours, list(linear))
        if graph not in self._opened or self._opened[graph][0] != asked:
            self._opened.pop(graph, None)  # before the next one, for its memory
            # The CPU only simulates a GPU's rounding here; without its INT8 kernels it does that faster.
            model = self._converted(graph, ours, linear)
            self._opened[graph] = (asked, session_of(model, self._threads, qdq=self._target != "gpu"))
        return self._opened[graph][1]

    def _converted(
        self, graph: GraphName, layers: Sequence[Layer], linear: Sequence[GraphName]
    ) -> ModelProto:
        model = quantised(self._models[graph], layers, self._ranges.get(graph, {}), self._target)
        return store_linear_weights(model, [self._models[name] for name in linear])
