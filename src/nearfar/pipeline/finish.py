"""What is measured around training, and what is written at the end of it: model, index, report and record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nearfar.core.artifact import write_json
from nearfar.encoder.needs import opening
from nearfar.encoder.save import save_encoder
from nearfar.evaluate.statistics import Comparison, compare, decide
from nearfar.index.canaries import TEXTS as CANARIES
from nearfar.index.canaries import Canaries
from nearfar.index.generation import Documents, write_index
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.data_card import write_card
from nearfar.pipeline.evaluate import Evaluation, evaluate_bm25, evaluate_space
from nearfar.pipeline.graph import Outcome
from nearfar.pipeline.report import Measured, card, report_data, verdict_of
from nearfar.pipeline.run import RECORD, Run, versions
from nearfar.pipeline.session import Session
from nearfar.pipeline.through import keep_codes
from nearfar.report.html import write_report
from nearfar.report.kept import SCORES
from nearfar.train.progress import Progress


def measure_before(session: Session) -> dict[str, Measured]:
    """BM25 and the base on the test set."""
    dataset, metrics = session.dataset, session.config.eval.metrics
    judged = dataset.judged("test")
    say = session.space.reporter.say
    bm25 = Measured(evaluate_bm25(dataset, judged, metrics))
    say(f"BM25: {MAIN_METRIC} {bm25.evaluation.metrics[MAIN_METRIC]:.3f} on {len(judged.queries)} test queries")
    base = Measured(*evaluate_space(replace(session.space, encoder=session.base()), dataset, judged, metrics))
    say(f"base: {MAIN_METRIC} {base.evaluation.metrics[MAIN_METRIC]:.3f}")
    return {"bm25": bm25, "base": base}


def finish(session: Session, before: Mapping[str, Measured], made: Outcome) -> Run:
    """Measure the session's encoder on the test set, and write everything that a finished run holds.

    Args:
        before: what it is compared with, from `measure_before`.
        made: what was trained, and how it went.
    """
    dataset, space, folder = session.dataset, session.space, session.folder
    lora = session.config.train.lora
    adapter = {"adapter": session.adaptation.writer(session.config.base)} if lora.rank and lora.keep else {}
    session.adaptation.release()
    model = Measured(*evaluate_space(space, dataset, dataset.judged("test"), session.config.eval.metrics))
    systems = {**before, "model": model}
    comparisons = {name: _compare(model.evaluation, before[name].evaluation, session) for name in ("base", "bm25")}
    verdict = verdict_of(comparisons)
    text = card(session.config, systems, verdict, opening(space.encoder))
    fingerprint = save_encoder(space.encoder, folder / "model", card=text, overwrite=True, beside=adapter)
    canaries = Canaries(CANARIES, space.vectors(CANARIES, "document", "encoding canaries"))
    documents = Documents(dataset.documents.ids, dataset.documents.texts, model.vectors(), canaries)
    write_index(folder / "index", documents, fingerprint=fingerprint, similarity=space.encoder.similarity,
                overwrite=True)  # fmt: skip
    if made.learnt:
        keep_codes(folder, made.learnt, model.vectors(), fingerprint, session.config.train)
    arrays: Any = {"queries": model.evaluation.queries, **_per_query(systems)}
    np.savez(folder / SCORES, **arrays)
    record = _record(session, systems, comparisons, made.progress, fingerprint)
    if made.stages:
        record["stages"] = [dict(stage) for stage in made.stages]
    write_card(dataset, session.config.data, folder / "data")
    write_report(report_data(dataset, systems, made.progress, record), folder / "report.html")
    write_json(folder / RECORD, record)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return Run(folder, record)


def _compare(model: Evaluation, other: Evaluation, session: Session) -> Comparison:
    seed = session.config.train.seed
    return compare(model.per_query[MAIN_METRIC], other.per_query[MAIN_METRIC], seed=seed)


def _per_query(systems: Mapping[str, Measured]) -> dict[str, NDArray[np.float64]]:
    return {f"{name}/{metric}": values for name, measured in systems.items()
            for metric, values in measured.evaluation.per_query.items()}  # fmt: skip


def _record(
    session: Session,
    systems: Mapping[str, Measured],
    comparisons: Mapping[str, Comparison],
    progress: Progress,
    fingerprint: str,
) -> dict[str, Any]:
    splits = {split: len(session.dataset.judged(split).queries) for split in session.dataset.splits}
    return {
        "verdict": verdict_of(comparisons),
        "better": decide(comparisons["base"]) == "better",
        "metrics": {name: dict(measured.evaluation.metrics) for name, measured in systems.items()},
        "p_values": {name: comparison.p_value for name, comparison in comparisons.items()},
        "comparisons": {name: asdict(comparison) for name, comparison in comparisons.items()},
        "train_seconds": round(progress.seconds, 3),
        "steps": progress.step,
        "best_step": progress.best_step,
        "losses": progress.losses,
        "dev": progress.dev,
        "alarms": progress.alarms,
        "data": {"name": session.dataset.name, "documents": len(session.dataset.documents), "queries": splits,
                 "notices": session.dataset.notices},
        "fingerprint": fingerprint,
        "resume_identity": session.identity,
        "policy": _policy_of(session),
        "versions": versions(),
        "config": session.config.model_dump(mode="json"),
    }  # fmt: skip


def _policy_of(session: Session) -> dict[str, Any]:
    policy = session.space.policy
    return {"device": policy.device, "precision": policy.precision, "budget_tokens": policy.budget_tokens,
            "threads": torch.get_num_threads(), "processes": session.workers.size}  # fmt: skip
