"""Make the bundled face-landmark networks from MediaPipe's files.

`face_landmark.tflite` and `iris_landmark.tflite` are in the PyPI package mediapipe 0.10.21 (Google;
Apache-2.0), under mediapipe/modules. The runtime reads ONNX only, so they are converted once, here.

    python -m export.face_networks face_landmark.tflite iris_landmark.tflite -o runtime/data
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from base import command_line
from base.command_parser import CommandParser
from base.errors import CheckpointError
from base.files import write_atomically
from export.tflite.reader import read_lite
from export.tflite.to_onnx import to_onnx


@dataclass(frozen=True)
class Published:
    """A network that is converted."""

    file: str
    """The name of the result."""
    names: dict[str, str]
    """Of its inputs and outputs: published, and in the result."""


NETWORKS = (
    Published("face_mesh.onnx", {"input_1": "crop", "conv2d_21": "mesh", "conv2d_31": "presence"}),
    Published(
        "iris.onnx", {"input_1": "crop", "output_eyes_contours_and_brows": "eye", "output_iris": "iris"}
    ),
)


def convert(source: Path, folder: Path) -> Path:
    """Convert one of MediaPipe's files; return the result. The same source always gives the same bytes.

    Raises CheckpointError if the source is not one of the files in NETWORKS.
    """
    graph = read_lite(source)
    ports = {graph.tensors[i].name for i in graph.inputs + graph.outputs}
    published = next((network for network in NETWORKS if set(network.names) == ports), None)
    if published is None:
        raise CheckpointError(f"{source} is not MediaPipe's face_landmark.tflite or iris_landmark.tflite")
    target = folder / published.file
    with write_atomically(target) as file:
        file.write(to_onnx(graph, published.names).SerializeToString(deterministic=True))
    return target


def main(arguments: list[str] | None = None) -> int:
    """Convert the files named on the command line; return the exit status."""
    return command_line.run(lambda: _convert(arguments))


def _convert(arguments: list[str] | None) -> int:
    parser = CommandParser(
        prog="python -m export.face_networks", description="Make the bundled face-landmark networks."
    )
    parser.add_argument("sources", type=Path, nargs="+", metavar="TFLITE", help="MediaPipe's files.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="The folder of the results.")
    given = parser.parse_args(arguments)
    for source in given.sources:
        convert(source, given.output)
    return command_line.DONE


if __name__ == "__main__":
    sys.exit(main())
