"""Read a TensorFlow Lite file: its tensors, and the operators that connect them.

The file is a FlatBuffer. Only the fields that small vision networks need are read, by their position in the
tables of tensorflow/lite/schema/schema.fbs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers.number_types as number
import numpy as np
from flatbuffers import encode
from flatbuffers.table import Table
from numpy.typing import NDArray

from base.errors import CheckpointError

IDENTIFIER = b"TFL3"
OPERATORS = {
    0: "ADD",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    17: "MAX_POOL_2D",
    22: "RESHAPE",
    34: "PAD",
    54: "PRELU",
}
"""schema.fbs, BuiltinOperator."""
DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}
"""schema.fbs, TensorType."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of the graph."""

    name: str
    shape: tuple[int, ...]
    value: NDArray[Any] | None
    """Of a constant; None for what the operators compute."""


@dataclass(frozen=True)
class Operator:
    """An operator and the tensors that it reads and writes, as indices."""

    kind: str
    """One of OPERATORS."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: tuple[int, ...]
    """Its first seven options; their meaning depends on the kind. Those that are not stored are 0."""


@dataclass(frozen=True, eq=False)
class LiteGraph:
    """The main graph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    """In the order in which they run."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_lite(path: Path) -> LiteGraph:
    """Return the graph of a .tflite file.

    Raises CheckpointError if the file is no such file, is damaged, or needs operators that are not in
    OPERATORS.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if data[4:8] != IDENTIFIER:
        raise CheckpointError(f"{path} is not a TensorFlow Lite file")
    try:
        return _graph(data, path)
    except (IndexError, KeyError, TypeError, ValueError, UnicodeError) as error:
        raise CheckpointError(
            f"{path} is damaged, or uses types that are not supported: {error!r}"
        ) from error
    except Exception as error:
        if type(error).__module__.startswith(("struct", "flatbuffers")):
            raise CheckpointError(f"{path} is damaged: {error}") from error
        raise


def _graph(data: bytes, path: Path) -> LiteGraph:
    model = Table(data, encode.Get(number.UOffsetTFlags.packer_type, data, 0))
    codes = [_code(table) for table in _tables(model, 1)]
    buffers = _tables(model, 4)
    graph = _tables(model, 2)[0]
    operators = []
    for table in _tables(graph, 3):
        code = codes[_number(table, 0, number.Uint32Flags)]
        if code not in OPERATORS:
            raise CheckpointError(f"{path} uses operator {code} of TensorFlow Lite, which is not converted")
        operators.append(Operator(OPERATORS[code], _indices(table, 1), _indices(table, 2), _options(table)))
    tensors = tuple(_tensor(table, buffers) for table in _tables(graph, 0))
    return LiteGraph(tensors, tuple(operators), _indices(graph, 1), _indices(graph, 2))


def _tensor(table: Table, buffers: list[Table]) -> Tensor:
    shape = _indices(table, 0)
    dtype = DTYPES[_number(table, 1, number.Int8Flags)]
    stored = _bytes(buffers[_number(table, 2, number.Uint32Flags)])
    name = table.String(_field(table, 3) + table.Pos).decode()
    value = None if stored is None else np.frombuffer(stored, dtype).reshape(shape)
    return Tensor(name, shape, value)


def _code(table: Table) -> int:
    """Return an operator's code: small ones are stored in one byte, in files of older versions only there."""
    return max(_number(table, 0, number.Int8Flags), _number(table, 3, number.Int32Flags))


def _options(table: Table) -> tuple[int, ...]:
    offset = _field(table, 4)
    if not offset:
        return (0,) * 7
    options = Table(table.Bytes, table.Indirect(table.Pos + offset))
    # Enumerations are stored in a byte, sizes in 32 bits of which small numbers fill the first byte only.
    return tuple(_number(options, i, number.Int8Flags) for i in range(7))


def _field(table: Table, index: int) -> int:
    """Return the offset of a field in its table; 0 if it is not stored."""
    return int(table.Offset(4 + 2 * index))


def _number(table: Table, index: int, kind: Any) -> int:
    offset = _field(table, index)
    return int(table.Get(kind, table.Pos + offset)) if offset else 0


def _tables(table: Table, index: int) -> list[Table]:
    offset = _field(table, index)
    if not offset:
        return []
    start = table.Vector(offset)
    return [Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(table.VectorLen(offset))]


def _indices(table: Table, index: int) -> tuple[int, ...]:
    offset = _field(table, index)
    return tuple(table.GetVectorAsNumpy(number.Int32Flags, offset).tolist()) if offset else ()


def _bytes(table: Table) -> NDArray[np.uint8] | None:
    offset = _field(table, 0)
    if not offset:
        return None
    return np.asarray(table.GetVectorAsNumpy(number.Uint8Flags, offset), np.uint8)
