"""Representation collapse: all texts end up in one place, or in few dimensions (guide, section 7)."""

from __future__ import annotations

import numpy as np

from nearfar.diagnose.evidence import Evidence, Subject, Vectors
from nearfar.diagnose.finding import MOST_EXAMPLES, Example, Finding, Fix, Threshold, judge, unknown
from nearfar.diagnose.geometry import (
    DEAD,
    alignment,
    effective_rank,
    mean_cosine,
    sample,
    spread,
    uniformity,
    unit,
)

NAME = "collapse"
FEWEST = 30  # documents, and judged queries
SOURCE = "the failure zoo (benchmarks/failure_zoo)"
THRESHOLDS = (
    Threshold("spread", 0.6, 0.4, SOURCE),
    Threshold("rank_share", 0.25, 0.15, SOURCE),
    Threshold("mean_cosine", 0.6, 0.8, SOURCE),
    Threshold("dead_dimensions", 0.1, 0.3, SOURCE),
    Threshold("loss_overshoot", 1.5, 2.0, SOURCE),
)


def diagnose(evidence: Evidence) -> Finding:
    """Look at where the model puts documents and queries.

    Figures:
        spread: mean over the dimensions of the standard deviation of the documents' unit vectors, times √d; 1 on a
            sphere, 0 where all are one.
        rank_share: effective rank (RankMe) over the highest possible, min(n, d).
        mean_cosine: of two different documents.
        uniformity, alignment: Wang and Isola (2020).
        dead_dimensions: share of the dimensions with a spread under 0.05.
        loss_overshoot: highest loss of training over its first: steps that are too large throw the vectors about.
        ndcg: nDCG@10 of the test queries; the last loss beside it tells a loss that fell for the wrong reason.
    """
    model = evidence.model
    if model is None:
        return unknown(NAME, "a model")
    if len(model.documents) < FEWEST:
        return unknown(NAME, f"at least {FEWEST} documents, found {len(model.documents)}")
    figures = measured(model.documents)
    if len(evidence.test):
        figures |= _of_pairs(evidence, model)
    verdict, causes = judge(figures, THRESHOLDS)
    seen = f"documents fill {figures['rank_share']:.0%} of the dimensions, their spread is {figures['spread']:.2f}"
    summary = "; ".join(causes) if causes else f"{seen} of a sphere's"
    examples = _examples(evidence, model) if causes else ()
    return Finding(NAME, verdict, summary, figures, THRESHOLDS, examples, _fix(evidence) if causes else Fix())


def measured(documents: Vectors) -> dict[str, float]:
    """The figures of the documents' vectors alone, (n, d)."""
    rows = unit(sample(documents))
    spreads = spread(rows)
    return {
        "spread": float(spreads.mean()),
        "rank_share": effective_rank(rows) / min(rows.shape),
        "mean_cosine": mean_cosine(rows),
        "uniformity": uniformity(rows),
        "dead_dimensions": float((spreads < DEAD).mean()),
    }


def _of_pairs(evidence: Evidence, model: Subject) -> dict[str, float]:
    relevant = evidence.test.relevant
    queries, documents = model.test[relevant.row_of_value()], model.documents[relevant.values]
    figures = {"alignment": alignment(unit(queries), unit(documents)), "ndcg": float(model.ndcg.mean())}
    if evidence.course.losses:
        losses = evidence.course.losses
        figures["last_loss"] = float(np.mean(losses[-5:]))
        figures["loss_overshoot"] = max(losses) / losses[0] if losses[0] > 0 else 0.0
    return figures


def _examples(evidence: Evidence, model: Subject) -> tuple[Example, ...]:
    """Pairs of documents that the model holds for the same and that share no relevant query."""
    rows = np.random.default_rng(0).permutation(len(model.documents))[: 4 * MOST_EXAMPLES]
    cosines = unit(model.documents[rows]) @ unit(model.documents[rows]).T
    first, second = np.triu_indices(len(rows), 1)
    nearest = np.argsort(-cosines[first, second], kind="stable")[:MOST_EXAMPLES]
    return tuple({"document": evidence.documents[rows[first[i]]], "other": evidence.documents[rows[second[i]]],
                  "cosine": float(cosines[first[i], second[i]])} for i in nearest)  # fmt: skip


def _fix(evidence: Evidence) -> Fix:
    """A usual temperature, the default learning rate, and a term against collapse (guide, sections 7 and 8)."""
    temperature = float(evidence.settings.get("temperature", 0.05))
    patch = {"temperature": max(temperature, 0.05), "learning_rate": None,
             "loss": {"info_nce": 1.0, "anti_collapse": 0.1}}  # fmt: skip
    return Fix({"train": patch}, "train again with the default learning rate, a temperature of 0.05 or more and a "
               "term that keeps the dimensions apart")  # fmt: skip
