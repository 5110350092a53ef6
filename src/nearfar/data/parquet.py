"""Parquet tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput
from nearfar.data.bad_row import BadRow
from nearfar.data.intake import Intake, Row
from nearfar.data.lines import opened

BATCH_ROWS = 8192


def read_parquet(path: Path, intake: Intake) -> Iterator[Row]:
    """Yield the rows of the columns nearfar reads, numbered from 1."""
    with opened(path) as file:
        yield from enumerated(_dicts(file, path, intake))


def enumerated(dicts: Iterator[dict[str, Any]]) -> Iterator[Row]:
    """Number the rows of a table that has no lines, from 1."""
    return (Row(number, values) for number, values in enumerate(dicts, 1))


def _dicts(file: Any, path: Path, intake: Intake) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415 -- a tenth of a second that other inputs need not pay
    from pyarrow import ArrowException  # noqa: PLC0415

    try:
        table = pq.ParquetFile(file)
        columns = intake.columns.layout(table.schema_arrow.names).used
        for batch in table.iter_batches(BATCH_ROWS, columns=columns):
            yield from batch.to_pylist()
    except BadRow as bad:
        raise bad.at(path, None) from None
    except (ArrowException, OSError, ValueError) as error:
        raise BadInput.at(
            path, expected="a Parquet file", found=_first_line(error), do="write it again or check the suffix"
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
