"""Hard negatives for a data set: ranked by BM25 or a model, checked by a second model, written as a data set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.core.artifact import read_manifest, writing
from nearfar.core.config import merged
from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest
from nearfar.core.ragged import Ragged
from nearfar.data.batches import BatchSource, batch_source
from nearfar.data.beir import write_beir
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset
from nearfar.data.mine import Judge, Mined, MiningConfig
from nearfar.data.mine import mine as mine_
from nearfar.data.pool import Pool, pool_of
from nearfar.data.read import Item, as_dataset, load
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy, choose_policy
from nearfar.pipeline.config import LEXICAL, MineConfig
from nearfar.pipeline.evaluate import Space
from nearfar.pipeline.place import check_made
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.rankers import Model, System, vectors
from nearfar.train.mining import MineNegatives

KIND = "negatives"
RULES = 1  # of choosing negatives: what other rules chose is not reused


@dataclass(frozen=True)
class Suspect:
    """A document that may answer the query, though the data do not say so."""

    query: str
    positive: str
    document: str
    score: float
    positive_score: float


@dataclass(frozen=True)
class Negatives:
    """A data set with mined negatives: judged pairs of score 0 in its training split."""

    dataset: Dataset
    suspects: tuple[Suspect, ...]
    record: Mapping[str, Any]  # counts, fingerprints, settings
    path: Path | None  # the folder that holds them, where one was asked for


def mine(
    model: Model,
    data: Dataset | str | Path | Iterable[Item],
    *,
    out: str | Path | None = None,
    config: MineConfig | Mapping[str, Any] | None = None,
    data_config: DataConfig | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Negatives:
    """Mine hard negatives for the training queries of a data set, from all its documents.

    Args:
        model: what ranks the candidates: "bm25", a run, a run's codes (RUN/codes/16), a model folder, a base's name, or
            a loaded model.
        data: as `fit` takes it; negatives it has already are kept.
        out: folder to write; where it holds the negatives of the same models, data and settings they are read instead.
        config: margins, ranks and the rest, as a MineConfig or its keys: {"relative_margin": 0.05}.

    Raises:
        BadInput: model, data or settings cannot be used, or `out` holds something else and `overwrite` is false.
    """
    reporter = reporter or Silent()
    settings = config if isinstance(config, MineConfig) else MineConfig.parse(merged({}, config or {}), "options")
    path = None if out is None else Path(out)
    if path:
        check_made(path, KIND, "mined negatives", overwrite=overwrite)
    if settings.filter is None and {"filter_margin", "filter_max_score"} & settings.model_fields_set:
        raise BadInput.at("filter_margin", expected="a second model to apply it", found="none", do="name it: filter")
    dataset = as_dataset(data, data_config)
    if "train" not in dataset.splits:
        found = " and ".join(dataset.splits)
        raise BadInput.at(dataset.name, expected="a train split", found=found, do="name the one to mine for 'train'")
    policy = choose_policy(settings.device, settings.precision)
    systems = [System.open(name, policy) for name in (model, settings.filter) if name is not None]
    record = {"systems": [system.identity for system in systems], "precision": policy.precision,
              "data": dataset.digest(), "settings": _settings(settings)}  # fmt: skip
    key = digest([str(RULES), json.dumps(record, sort_keys=True)])
    if path and path.exists() and not overwrite:
        return _read(path, key)
    pool = pool_of(dataset, batch_source(dataset))
    mined = _mined(pool, settings, systems, policy, reporter)
    negatives = Negatives(mined.added_to(dataset), _suspects(mined), {"key": key, **record, **_counts(mined)}, path)
    if path:
        _write(path, negatives, mined, overwrite=overwrite)
    return negatives


def with_negatives(dataset: Dataset, config: MineConfig, reporter: Reporter) -> Dataset:
    """`dataset` as it is where its training split has judged negatives, else with those that BM25 ranks high."""
    if (dataset.splits["train"].scores <= 0).any():
        return dataset
    mined = mine(LEXICAL, dataset, config=config.rules().model_dump(), reporter=reporter)
    reporter.say(f"no judged negatives in the data: BM25 mined {mined.record['negatives']:,}")
    return mined.dataset


def system_identity(name: Model, policy: Policy) -> str:
    """What BM25 or a model computes, told by its content.

    Raises:
        BadInput: there is no such model.
    """
    return System.open(name, policy).identity


def refresher(dataset: Dataset, source: BatchSource, rules: MiningConfig, space: Space) -> MineNegatives:
    """What a run calls to mine with its current model."""
    pool = pool_of(dataset, source)

    def refresh(encoder: Encoder) -> Ragged:
        mined = mine_(pool, rules, vectors(pool, Space(encoder, space.policy, space.store)))
        counts = _counts(mined)
        space.reporter.say(f"mined {counts['negatives']:,} negatives for {counts['queries_with']:,} of "
                           f"{counts['queries']:,} queries")  # fmt: skip
        return mined.joined()

    return refresh


def _mined(pool: Pool, settings: MineConfig, systems: list[System], policy: Policy, reporter: Reporter) -> Mined:
    ranker, *seconds = [system.ranker(pool, policy, reporter) for system in systems]
    judge = Judge(seconds[0], settings.judging()) if seconds else None
    with reporter.bar("mining", len(pool.queries)) as advance:
        return mine_(pool, settings.rules(), ranker, judge, lambda done: advance(done, ""))


def _settings(config: MineConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude={"model", "out", "filter", "device", "precision"})


def _counts(mined: Mined) -> dict[str, Any]:
    return {
        "queries": len(mined.pool.queries),
        "queries_with": len(np.unique(mined.negatives.queries)),
        "documents": len(mined.pool.documents),
        "negatives": len(mined.negatives.queries),
        "left_out": dict(mined.left_out),
        "suspected": mined.suspected,
    }


def _suspects(mined: Mined) -> tuple[Suspect, ...]:
    texts, found, pool = mined.pool.source.texts, mined.suspects, mined.pool
    return tuple(
        Suspect(
            query=texts[pool.queries[query]],
            positive=texts[pool.documents[mined.lowest[query]]],
            document=texts[pool.documents[document]],
            score=round(float(score), 6),
            positive_score=round(float(mined.positives[query]), 6),
        )
        for query, document, score in zip(found.queries, found.documents, found.scores, strict=True)
    )


def _read(path: Path, key: str) -> Negatives:
    record = read_manifest(path, KIND)
    if record["key"] != key:
        raise BadInput.at(path, expected="negatives of these models, data and settings", found="those of others",
                          do="choose another --out, or replace them with --overwrite")  # fmt: skip
    lines = (path / "suspects.jsonl").read_text(encoding="utf-8").splitlines()
    suspects = tuple(Suspect(**json.loads(line)) for line in lines)
    return Negatives(load(DataConfig(source=str(path))), suspects, record, path)


def _write(path: Path, negatives: Negatives, mined: Mined, *, overwrite: bool) -> None:
    with writing(path, KIND, negatives.record, overwrite=overwrite) as folder:
        write_beir(negatives.dataset, folder)
        _write_lines(folder / "negatives.jsonl", _records(mined))
        _write_lines(folder / "suspects.jsonl", map(asdict, negatives.suspects))


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _records(mined: Mined) -> Iterable[dict[str, Any]]:
    """One record a query, as the readers of data take it."""
    pool, texts = mined.pool, mined.pool.source.texts
    name = [texts[i] for i in pool.documents]
    negatives, scores = mined.by_query(), mined.negatives.scores
    for row, query in enumerate(pool.queries):
        inside = slice(negatives.offsets[row], negatives.offsets[row + 1])
        yield {
            "query": texts[query],
            "positive": [name[i] for i in pool.positives[row]],
            "negative": [name[i] for i in negatives[row]],
            "positive_score": round(float(mined.positives[row]), 6),
            "negative_scores": [round(float(score), 6) for score in scores[inside]],
        }
