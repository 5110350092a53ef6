"""One call from whatever the user holds to a clean data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from nearfar.core.errors import BadInput
from nearfar.data.bad_row import BadRow
from nearfar.data.beir import is_beir, read_beir
from nearfar.data.clean import clean
from nearfar.data.collect import Collector
from nearfar.data.config import DataConfig
from nearfar.data.dataset import LABELS, Dataset
from nearfar.data.delimited import read_csv, read_tsv
from nearfar.data.folder import in_order, split_files
from nearfar.data.hub import hub_splits, is_hub_name
from nearfar.data.intake import Intake, Reader, Row
from nearfar.data.jsonl import read_jsonl
from nearfar.data.parquet import enumerated, read_parquet
from nearfar.data.records import Record, records_of

READERS: Mapping[str, Reader] = {
    ".jsonl": read_jsonl,
    ".json": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
}
SUFFIXES = (*READERS, *(f"{suffix}.gz" for suffix in READERS if suffix != ".parquet"))
Item = Mapping[str, Any] | Sequence[str] | Record
T = TypeVar("T")
Parse = Callable[[Iterable[Row], str | Path, Intake], Iterator[T]]


def load(config: DataConfig) -> Dataset:
    """Read and clean `config.source`; a single file becomes the split "train" (see `ensure_splits`).

    Raises:
        BadInput: the source is missing or unreadable, or holds a bad row and these are not to be skipped.
        MissingExtra: it is a hub name and the package `datasets` is not installed.
    """
    if not config.source:
        raise BadInput.at("data.source", expected="a file, a folder or a hub name", found="none", do="name one")
    with readable(config.source):
        return _load(config.source, config)


@contextmanager
def readable(source: str) -> Iterator[None]:
    """Turn what the system says of a source into BadInput: a path too long, a folder that may not be entered."""
    try:
        yield
    except OSError as error:
        raise BadInput.at(
            source[:200],
            expected="a readable source",
            found=str(error.strerror or error),
            do="check path and permissions",
        ) from None


def from_records(records: Iterable[Item], config: DataConfig | None = None) -> Dataset:
    """A data set with the one split "train" out of (query, positive, negatives…) tuples, dicts or records.

    Raises:
        BadInput: an item cannot be used; its number stands in the place of a line.
    """
    config = config or DataConfig()
    intake = Intake(config)
    rows = given(_rows(records, intake), "records", intake)
    collected = _collected({"train": rows}, "records", config)
    return replace(collected, notices=(*collected.notices, *intake.notices()))


def as_dataset(source: Dataset | str | Path | Iterable[Item], config: DataConfig | None = None) -> Dataset:
    """`source` itself when it is a data set, else what `load` or `from_records` make of it."""
    config = config or DataConfig()
    if isinstance(source, Dataset):
        return source
    if isinstance(source, (str, Path)):
        return load(config.model_copy(update={"source": str(source)}))
    return from_records(source, config)


def _load(source: str, config: DataConfig) -> Dataset:
    path, intake = Path(source).expanduser(), Intake(config)
    if path.is_dir() and is_beir(path):
        dataset = read_beir(path, intake)
    else:
        name, splits = tables(source, intake, records_of)
        dataset = _collected(splits, name, config)
    return replace(dataset, notices=(*dataset.notices, *intake.notices()))


def tables(source: str, intake: Intake, parse: Parse[T]) -> tuple[str, dict[str, Iterator[T]]]:
    """Name of a file, a folder of tables or a hub data set, and what `parse` makes of the rows of each split, in order.

    A single file is the split "train".

    Raises:
        BadInput: the source is missing or unreadable; or, while a split is read, it holds nothing that can be used.
        MissingExtra: it is a hub name and the package `datasets` is not installed.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        files = split_files(path, SUFFIXES)
        chained = {split: (one for path in paths for one in rows_in(path, intake, parse))
                   for split, paths in files.items()}  # fmt: skip
        return path.resolve().name, in_order(chained)
    if path.exists() or not is_hub_name(source):
        return path.name.split(".")[0], {"train": rows_in(path, intake, parse)}
    splits = {split: given(parse(enumerated(iter(rows)), f"{source} {split}", intake), source, intake)
              for split, rows in hub_splits(source).items()}  # fmt: skip
    return source, in_order(splits)


def _collected(splits: Mapping[str, Iterable[Record]], name: str, config: DataConfig) -> Dataset:
    collector = Collector()
    for split, records in splits.items():
        collector.add(split, records)
    return clean(collector.dataset(name, config.positive_above))


def rows_in(path: Path, intake: Intake, parse: Parse[T]) -> Iterator[T]:
    """What `parse` makes of the rows of one table, of any kind in READERS; errors as of `records_in`."""
    return given(parse(_reader(path)(path, intake), path, intake), path, intake)


def records_in(path: Path, intake: Intake) -> Iterator[Record]:
    """The records of one table, of any kind in READERS.

    Raises:
        BadInput: it is missing, of no known kind, or holds no record that can be used.
    """
    return rows_in(path, intake, records_of)


def _reader(path: Path) -> Reader:
    if not path.exists():
        raise BadInput.at(path, expected="a file or folder", found="none", do="check the path")
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    reader = READERS.get(plain.suffix.lower())
    if reader is None or (path.suffix == ".gz" and reader is read_parquet):
        raise BadInput.at(path, expected=" ".join(READERS), found=f"'{path.suffix}'", do="convert or rename the file")
    return reader


def rows_of(items: Iterable[Any], names: Sequence[str]) -> Iterator[Row]:
    """Rows out of dicts, and of tuples whose values have these names, numbered from 1; others lack every column."""
    for number, item in enumerate(items, 1):
        if isinstance(item, Mapping):
            yield Row(number, {str(name): value for name, value in item.items()})
        else:
            tuple_ = item if isinstance(item, Sequence) and not isinstance(item, (str, bytes)) else ()
            yield Row(number, dict(zip(names, tuple_, strict=False)))


def given(records: Iterator[T], where: str | Path, intake: Intake) -> Iterator[T]:
    """`records`, when there is at least one of them.

    Raises:
        BadInput: there is none, with the reason why.
    """
    intake.begin()
    first = next(records, None)
    if first is not None:
        yield first
        yield from records
        return
    if intake.first:
        raise intake.first
    empty = isinstance(where, Path) and not where.stat().st_size
    raise BadInput.at(
        where, expected="rows", found="an empty file" if empty else "none", do="check that it was written whole"
    )


def _rows(items: Iterable[Item], intake: Intake) -> Iterator[Record]:
    for number, item in enumerate(items, 1):
        try:
            values = _values(item)
        except BadRow as bad:
            intake.refuse("records", number, bad)
            continue
        yield from records_of([Row(number, values)], "records", intake)


def _values(item: Item) -> dict[str, Any]:
    if isinstance(item, Record):
        return _fields(item)
    if isinstance(item, Mapping) and all(isinstance(key, str) for key in item):
        return dict(item)
    if isinstance(item, (str, bytes)) or not isinstance(item, Sequence) or len(item) < 2:
        raise BadRow(expected="a dict or a (query, positive) tuple", found=repr(item)[:60], do="give both texts")
    query, positive, *negatives = item
    return {"query": query, "positive": positive, "negative": negatives}


def _fields(record: Record) -> dict[str, Any]:
    values = {"query": record.query, "positive": record.positives, "negative": record.negatives}
    values |= {name: getattr(record, name) for name in LABELS}
    return values if record.score is None else values | {"score": record.score}
