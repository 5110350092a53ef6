"""`teach`: a data set whose pairs carry the scores of teachers, for losses that distil them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from nearfar.core.artifact import read_manifest, writing
from nearfar.core.errors import BadInput, Interrupted
from nearfar.core.fingerprint import digest, digest_file
from nearfar.data.batches import BatchSource, batch_source
from nearfar.data.beir import write_beir
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item, as_dataset, load
from nearfar.data.teacher_file import SCORES, write_scores
from nearfar.data.teachers import FloatArray, PairScores, combined, normalised
from nearfar.encoder.precision import choose_policy
from nearfar.pipeline.config import FitConfig, settings
from nearfar.pipeline.mine import with_negatives
from nearfar.pipeline.place import check_made
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.teachers import Desk, Teacher, open_teachers, scores_of, stated_scores

KIND = "scored data"
RULES = 1


@dataclass(frozen=True)
class Taught:
    """A data set whose training pairs and negatives were scored."""

    dataset: Dataset
    record: Mapping[str, Any]  # teachers, counts, fingerprints, settings
    path: Path


def teach(
    data: Dataset | str | Path | Iterable[Item] | None = None,
    *,
    models: Sequence[str] = (),
    out: str | Path = "scored",
    config: FitConfig | Mapping[str, Any] | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Taught:
    """Score the training pairs of a data set and their negatives with teachers, and write both as a folder.

    Negatives are the judged ones of the data; where there are none, BM25 mines them with the settings of `mine`.
    Interrupted, the same call goes on: what was scored is kept beside `out`, or in `teachers.cache`.

    Args:
        data: as `fit` takes it.
        models: the teachers; instead of `config.teachers.models`.
        out: folder to write; where it holds the scores of the same teachers, data and settings it is read instead.
        config: the groups teachers, mine, train (device and precision) and data.

    Raises:
        BadInput: teachers, data or settings cannot be used, or `out` holds something else and `overwrite` is false.
        Interrupted: Ctrl-C.
    """
    named = {"teachers.models": tuple(models) or None,
             "data.source": str(data) if isinstance(data, str | Path) else None}  # fmt: skip
    values, path, reporter = settings(config, named), Path(out), reporter or Silent()
    check_made(path, KIND, "scored data", overwrite=overwrite)
    dataset = _dataset(data, values)
    policy = choose_policy(values.train.device, values.train.precision)
    teachers = _teachers(values, policy.device)
    record = _inputs(values, dataset, teachers, policy.precision)
    key = digest([str(RULES), json.dumps(record, sort_keys=True)])
    if path.exists() and not overwrite:
        return _read(path, key)
    own = path.parent / f".{path.name}.scores"
    desk = Desk(Path(values.teachers.cache or own), policy, reporter)
    try:
        dataset = with_negatives(dataset, values.mine, reporter)
        source = batch_source(dataset)
        found = cast(PairScores, scores_of(source, teachers, values.teachers, values.data, desk))  # there is a teacher
        record = {"key": key, **record, **facts(source, found)}
        _write(Taught(dataset, record, path), source, found, values, overwrite=overwrite)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command goes on") from None
    shutil.rmtree(own, ignore_errors=True)
    return Taught(dataset, record, path)


def _dataset(data: Any, values: FitConfig) -> Dataset:
    source = data if data is not None else values.data.source
    if source is None:
        raise BadInput.at("data", expected="pairs to score", found="none", do="give --data FILE_OR_FOLDER")
    dataset = as_dataset(source, values.data)
    if "train" not in dataset.splits:
        found = " and ".join(dataset.splits)
        raise BadInput.at(dataset.name, expected="a train split", found=found, do="name the one to score 'train'")
    return dataset


def _teachers(values: FitConfig, device: str) -> list[Teacher]:
    if not values.teachers.models and values.teachers.scores is None:
        raise BadInput.at("teachers.models", expected="a teacher", found="none",
                          do="name one, such as --teachers.models '[reranker]', or teachers.scores")  # fmt: skip
    return open_teachers(values.teachers, device)


def _inputs(values: FitConfig, dataset: Dataset, teachers: Sequence[Teacher], precision: str) -> dict[str, Any]:
    """Everything that the scores depend on, by content."""
    stated = stated_scores(values.teachers, values.data)
    file = stated / SCORES if stated and stated.is_dir() else stated
    return {
        "teachers": [{"kind": teacher.kind, "fingerprint": teacher.fingerprint}
                     for teacher in teachers],
        "scores": digest_file(file) if file and file.is_file() else None,
        "precision": precision,
        "data": dataset.digest(),
        "normalise": values.teachers.normalise,
        "mine": values.mine.rules().model_dump(mode="json"),
    }  # fmt: skip


def facts(source: BatchSource, found: PairScores) -> dict[str, Any]:
    """Counts, and how often each teacher has a query's positives above all its negatives."""
    positive = _is_positive(source, found)
    right = [_ranked_right(found.queries, scores, positive) for scores in found.scores]
    return {
        "names": list(found.names),
        "pairs": len(found.queries),
        "positives": int(positive.sum()),
        "scored": [int(np.isfinite(scores).sum()) for scores in found.scores],
        "ranked_right": [None if share is None else round(share, 4) for share in right],
    }


def _is_positive(source: BatchSource, found: PairScores) -> Any:
    size = len(source.texts)
    known = source.relevant.row_of_value() * size + source.relevant.values
    return np.isin(found.queries * size + found.documents, known)


def _ranked_right(queries: Any, scores: FloatArray, positive: Any) -> float | None:
    """Share of the queries with both whose lowest positive scores above the highest negative; None without any."""
    count = int(queries.max(initial=-1)) + 1
    low, high = np.full(count, np.inf, np.float32), np.full(count, -np.inf, np.float32)
    given = ~np.isnan(scores)
    np.minimum.at(low, queries[given & positive], scores[given & positive])
    np.maximum.at(high, queries[given & ~positive], scores[given & ~positive])
    both = np.isfinite(low) & np.isfinite(high)
    return float((low[both] > high[both]).mean()) if both.any() else None


def _write(taught: Taught, source: BatchSource, found: PairScores, values: FitConfig, *, overwrite: bool) -> None:
    pairs = [(source.texts[query], source.texts[document])
             for query, document in zip(found.queries, found.documents, strict=True)]  # fmt: skip
    scale = values.teachers.scale(len(found.names))
    score = combined(normalised(found.scores, found.queries, scale))
    with writing(taught.path, KIND, taught.record, overwrite=overwrite) as folder:
        write_beir(taught.dataset, folder)
        write_scores(folder / SCORES, pairs, found.scores, found.names, score)


def _read(path: Path, key: str) -> Taught:
    record = read_manifest(path, KIND)
    if record["key"] != key:
        raise BadInput.at(path, expected="scores of these teachers, data and settings", found="those of others",
                          do="choose another --out, or replace them with --overwrite")  # fmt: skip
    return Taught(load(DataConfig(source=str(path))), record, path)
