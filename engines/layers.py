"""The layers of an engine, parsed from the engine inspector's descriptions."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

_PRECISIONS = {
    "float": "FP32", "fp32": "FP32", "half": "FP16", "fp16": "FP16", "bf16": "BF16", "bfloat16": "BF16",
    "int8": "INT8", "fp8": "FP8", "int32": "INT32", "int64": "INT64", "bool": "BOOL",
}  # fmt: skip
_LINE = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*), Inputs: (?P<inputs>.*?), Constants: .*"
    r"Outputs: (?P<outputs>.*?), TacticName: "
)
_DATATYPE = re.compile(r"Datatype: (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
_CONVOLUTION = re.compile("conv|correlation", re.IGNORECASE)
"""Layer types that are convolutions: CaskConvolution in TensorRT, correlation in TensorRT-RTX."""


@dataclass(frozen=True)
class EngineLayer:
    """One layer of an engine."""

    name: str
    kind: str
    """The builder's name for it: `kgen`, `correlation`, `CaskConvolution`."""
    precision: str
    """FP32, FP16 or INT8: the type of its output; INT8 for a convolution that reads INT8, whatever its output
    type; empty if it has no output.
    """
    nodes: tuple[str, ...] = ()
    """Nodes of the ONNX graph that it implements."""

    @property
    def convolves(self) -> bool:
        """Whether it is, or begins with, a convolution."""
        return bool(_CONVOLUTION.search(self.kind)) or any(_CONVOLUTION.search(node) for node in self.nodes)


def layers_of_log(text: str) -> tuple[EngineLayer, ...]:
    """Parse the one-line-per-layer form that builders log while building; it needs no GPU."""
    found = []
    for line in text.splitlines():
        if match := _LINE.match(line):
            reads, makes = (_DATATYPE.findall(match[ports])[:1] for ports in ("inputs", "outputs"))
            found.append(_described(match["name"], match["kind"], reads, makes, line))
    return tuple(found)


def layers_of_json(text: str) -> tuple[EngineLayer, ...]:
    """Parse the inspector's JSON; its keys differ between TensorRT 10 (`Format/Datatype`) and 11."""
    try:
        layers = json.loads(text).get("Layers", [])
    except (ValueError, AttributeError):
        return ()
    return tuple(_layer(entry) for entry in layers)


def precisions(layers: Sequence[EngineLayer]) -> dict[str, int]:
    """Count layers by precision, most common first."""
    return dict(Counter(layer.precision for layer in layers if layer.precision).most_common())


def _layer(entry: Any) -> EngineLayer:
    if not isinstance(entry, dict):  # an engine built without details has only names
        return EngineLayer(str(entry), "", "")
    reads, makes = (
        [
            str(port.get("Datatype") or port.get("DataType") or port.get("Format/Datatype", ""))
            for port in entry.get(ports, [])
            if isinstance(port, dict)
        ]
        for ports in ("Inputs", "Outputs")
    )
    metadata = str(entry.get("Metadata", ""))
    return _described(str(entry.get("Name", "")), str(entry.get("LayerType", "")), reads, makes, metadata)


def _described(
    name: str, kind: str, reads: Sequence[str], makes: Sequence[str], metadata: str
) -> EngineLayer:
    layer = EngineLayer(name, kind, _precision(makes), tuple(dict.fromkeys(_NODE.findall(metadata))))
    return replace(layer, precision="INT8") if layer.convolves and _precision(reads) == "INT8" else layer


def _precision(types: Sequence[str]) -> str:
    for kind in types:
        for word in re.findall(r"[A-Za-z]+\d*", kind):
            if word.lower() in _PRECISIONS:
                return _PRECISIONS[word.lower()]
    return ""
