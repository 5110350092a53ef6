"""`compress --train`: a model trained through its codes, or on the candidates that they return, as a run of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.core.config import merged, nearest
from nearfar.core.errors import BadInput, excerpt
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item
from nearfar.encoder.load import load_encoder
from nearfar.evaluate.run import Run as Ranking
from nearfar.evaluate.statistics import Share, share
from nearfar.index.codes import CodedIndex, open_codes, open_codes_of, rescored
from nearfar.pipeline.coding import METRICS, Asked, Bench
from nearfar.pipeline.config import MAIN_METRIC, FitConfig
from nearfar.pipeline.evaluate import DEPTH, Evaluation, scored
from nearfar.pipeline.fit import fit
from nearfar.pipeline.mine import mine
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.pipeline.run import Run
from nearfar.pipeline.session import Mode, refuse_existing

TRAINED = ("query", "both", "dense")


@dataclass(frozen=True)
class Answered:
    """What one way of searching answers to the test queries."""

    name: str
    size_bytes: int  # of a document, in memory
    evaluation: Evaluation
    kept: Share  # of the better of the full vectors, before training and after

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"name": self.name, "bytes": self.size_bytes, **self.evaluation.metrics,
                f"retained_{MAIN_METRIC}": self.kept.value, "interval": [self.kept.low, self.kept.high]}  # fmt: skip


@dataclass(frozen=True)
class TrainedCodes:
    """A run trained with codes, and what it and the run before it answer."""

    run: Run
    trained: str
    size_bytes: int
    queries: int  # of the test set
    rows: tuple[Answered, ...]

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"path": str(self.run.path), "trained": self.trained, "bytes": self.size_bytes, "queries": self.queries,
                "rows": [row.record() for row in self.rows],
                "train_seconds": self.run.record["train_seconds"]}  # fmt: skip


def compress_train(
    codes: str | Path,
    trained: str,
    out: str | Path,
    *,
    data: Dataset | str | Path | Sequence[Item] | None = None,
    config: Mapping[str, Any] | None = None,
    mode: Mode = "new",
    reporter: Reporter | None = None,
) -> TrainedCodes:
    """Train with the codes of a run, and write a run with its model and index.

    Args:
        codes: what `compress` made, RUN/codes/BYTES.
        trained: "query": the encoder of queries and what codes stand for, documents and codes stay (JPQ; Zhan et al.,
            2021); "both": both encoders and the codec (RepCONC; Zhan et al., 2022); "dense": vectors, on the candidates
            that codes return, which stay (BiDR; Xiao et al., 2022).
        out: the new run; of "query" and "both" it holds the codes that learnt, too.
        config: settings as `fit` takes them, over those of the run.
        mode: as of `fit`.

    Raises:
        BadInput: there are no such codes, or `fit` refuses; or there is nothing of that name to train.
        Interrupted: Ctrl-C; `mode="resume"` goes on.
    """
    run, reporter = Path(codes).parent.parent, reporter or Silent()
    check(run, trained, out, mode)
    settings = _settings(Path(codes), trained, out, config or {})
    given = open_codes(Path(codes), run / "index")
    before = Bench.open(run, data, reporter)
    dataset = before.dataset
    if trained == "dense":
        dataset = mine(codes, dataset, reporter=reporter).dataset
    made = fit(dataset, config=settings, mode=mode, reporter=reporter)
    after = Bench.open(out, before.dataset, reporter)
    size = given.codes.shape[1]
    joint = None if trained == "dense" else open_codes_of(made.path / "index", size)
    rows = _rows(before, after, given, joint)
    return TrainedCodes(made, trained, size, len(rows[0].evaluation.queries), rows)


def check(run: Path, trained: str, out: str | Path, mode: Mode) -> None:
    """Refuse, before any work, what cannot be trained, or would take the place of another run.

    Raises:
        BadInput: so.
    """
    if trained not in TRAINED:
        raise BadInput.at("--train", expected=", ".join(TRAINED), found=excerpt(trained),
                          do=nearest(trained, list(TRAINED)))  # fmt: skip
    if mode == "new":
        refuse_existing(Path(out))
    if trained == "query" and load_encoder(Run.open(run).path / "model").is_static:
        raise BadInput.at("--train", expected="both or dense for a token table, which queries and documents share",
                          found="query", do="choose both")  # fmt: skip


def _settings(codes: Path, trained: str, out: str | Path, changes: Mapping[str, Any]) -> FitConfig:
    """Settings of the codes' run, those that make it train so, and the changes asked for."""
    run = codes.parent.parent
    own = FitConfig.parse(Run.open(run).record.get("config", {}), "run")
    values = {name: getattr(own, name).model_dump(exclude_unset=True) for name in ("data", "train", "eval")}
    through = {"train.codes.path": str(codes), "train.sides": "query" if trained == "query" else "both"}
    separate = {"encoder.sharing": "separate"} if trained == "query" else {}
    kind = {"train.batch_by": "near"} if trained == "dense" else {**through, **separate}
    named = {"base": str(run), "out": str(out), "data.source": None}
    return FitConfig.parse(merged(merged(merged(values, kind), changes), named), "options")


def _rows(before: Bench, after: Bench, codes: CodedIndex, joint: CodedIndex | None) -> tuple[Answered, ...]:
    """Vectors and codes before training and after; where codes have not learnt, their candidates in another order."""
    old, new = before.asked("test"), after.asked("test")
    size, full = codes.codes.shape[1], 4 * before.encoder.dimension
    found = [("vectors", full, old.full), ("vectors, trained", full, new.full), ("codes", size, _by_codes(codes, old))]
    if joint is not None:
        found.append(("codes, trained", size, _by_codes(joint, new)))
    else:
        found.append(("codes, vectors", size, _rescored(codes, old, before, old)))
        found.append(("codes, vectors trained", size, _rescored(codes, old, after, new)))
    better = max(old.full, new.full, key=lambda one: one.metrics[MAIN_METRIC]).per_query[MAIN_METRIC]
    return tuple(Answered(name, size, one, share(one.per_query[MAIN_METRIC], better)) for name, size, one in found)


def _by_codes(codes: CodedIndex, asked: Asked) -> Evaluation:
    return scored(Ranking.ranked(*codes.search(asked.vectors, DEPTH, codes.fingerprint)), asked.judged, METRICS)


def _rescored(codes: CodedIndex, asked: Asked, bench: Bench, again: Asked) -> Evaluation:
    """The candidates that codes return, in the order of the full vectors of `bench`, asked by its own queries."""
    rows, _ = codes.search(asked.vectors, DEPTH, codes.fingerprint)
    return scored(
        Ranking.ranked(*rescored(again.vectors, rows, bench.index.vectors.__getitem__, DEPTH)), asked.judged, METRICS
    )
