"""The status of each photo of an archive: a row of a table in Parquet."""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

import pyarrow as pa

from runtime.timing import Stage

STAGES = get_args(Stage)

SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("output", pa.string()),  # null if there is no result
        ("outcome", pa.string()),  # restored, no-face, left-alone or failed
        ("sha256", pa.string()),  # of the photo
        ("output_sha256", pa.string()),
        ("bytes", pa.int64()),
        ("output_bytes", pa.int64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("faces", pa.int32()),
        ("warnings", pa.list_(pa.string())),
        ("look_at", pa.list_(pa.string())),  # those for which a person should look at the result
        ("remarks", pa.list_(pa.string())),  # about the file, and what the result cannot hold
        ("error", pa.string()),
        ("cause", pa.string()),  # of the error, as the hot folder names it
        ("seconds", pa.float64()),  # the photo's share of its actor's time
        *((f"{stage}_ms", pa.float32()) for stage in STAGES),
        ("host", pa.string()),
    ]
)
"""Columns of the table; what is unknown is null."""

Row = dict[str, Any]
"""A row, by the names of SCHEMA."""


def table_of(rows: Iterable[Row]) -> Any:
    """Return rows as a `pyarrow.Table`."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def in_columns(milliseconds: Mapping[str, float]) -> Row:
    """Return the milliseconds of stages as columns."""
    return {f"{stage}_ms": value for stage, value in milliseconds.items()}
