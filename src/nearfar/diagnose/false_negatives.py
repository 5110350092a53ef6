"""False-negative saturation: answers to a query stand among its negatives in the batch (guide, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfar.core.folding import numbered
from nearfar.core.ragged import Ragged
from nearfar.diagnose.evidence import Evidence, Mask, Rows, Scores
from nearfar.diagnose.finding import MOST_EXAMPLES, Example, Finding, Fix, Threshold, judge, unknown
from nearfar.diagnose.in_batch import harm_begins, met
from nearfar.diagnose.suspects import Likeness, Triples, keys, nearly_positive, scores, suspects

NAME = "false_negatives"
FEWEST = 30  # training queries
BATCH_SIZES = (32, 128, 512, 2048, 8192)
BATCH_SIZE = 256  # of a run that says nothing else
SMALLEST = 32  # batch that is worth training with
TOLERATED, HARMFUL = 0.05, 0.25  # the guide's, and what "dramatically exceeds" it
SOFT = 0.1  # temperature
SOURCE = "the guide's 5 % (section 7); the failure zoo (benchmarks/failure_zoo)"
THRESHOLDS = (
    Threshold("met", TOLERATED, HARMFUL, SOURCE),
    Threshold("met_by_labels", TOLERATED, HARMFUL, SOURCE),
    Threshold("suspected", 0.25, 0.5, SOURCE),
)


@dataclass(frozen=True)
class Counted:
    """What there is among all training pairs for each of the sampled training queries."""

    pairs: float  # of training
    answers: Scores  # (T,) pairs whose document answers the query and would be its negative
    masked: Scores  # (T,) pairs whose document answers it and is left out: of its text, or its group


def diagnose(evidence: Evidence) -> Finding:
    """Look for training documents that answer a training query though it is not said.

    Figures:
        near_duplicates: share of the training documents with another that is nearly the same by its tokens (Jaccard
            of 0.8 or more); near_duplicates_in_corpus: with any document; near_by_vectors: with another training
            document nearly the same to the base, or to the model where there is no base (cosine of 0.95 or more).
        shared_positives: share of the training documents that are the positive of several training pairs.
        grouped: share of the training documents that have a group.
        suspected: share of the training queries that another training document answers and that no mask keeps from it.
        suspected_in_corpus: the same among all documents: what mined hard negatives would bring.
        false_share: expected share of such among a query's negatives; the same for every batch size.
        met_at_32 … met_at_8192: expected share of the queries that meet one or more in a batch of so many pairs, drawn
            without replacement; met: at the batch size of training, batch_size.
        met_without_masks: as met, were texts and groups not masked.
        unsaid: mean number of training pairs whose document answers a training query unsaid, by the test queries'
            labels: as many as those of a test query name beyond what training queries' name; met_by_labels: as met,
            of these. Both are left out where the test queries' answers are not among the training documents.
        probe_at_64, probe_at_256, probe_at_1024: nDCG@10 of the dev queries after short trainings with such batches
            on as many pairs each (with --probe); stalls: what the largest loses to the best. The steps are fewer where
            batches are larger, so that a healthy set may stall too: no threshold.
        harm_from: the smallest batch size at which more than 5 % meet one; left out where none does it.
    """
    if len(evidence.train) < FEWEST or not evidence.asked.any():
        return unknown(NAME, f"at least {FEWEST} training queries, found {len(evidence.train)}")
    likeness = Likeness.of(evidence)
    found = suspects(evidence, likeness)
    trained = found.where(evidence.asked[found.documents] > 0)
    counted = count(evidence, trained)
    figures = _of_documents(evidence, likeness) | _of_batches(evidence, counted)
    figures |= _by_labels(evidence, figures["batch_size"]) | _harm(evidence, counted)
    figures |= _of_probes(evidence.probes)
    figures |= {"suspected": _queries(trained, evidence), "suspected_in_corpus": _queries(found, evidence)}
    verdict, causes = judge(figures, THRESHOLDS)
    examples = _examples(evidence, trained) if causes else ()
    return Finding(NAME, verdict, _summary(figures), figures, THRESHOLDS, examples,
                   _fix(evidence, figures, trained, trained.where(~nearly_positive(evidence, likeness, trained)))
                   if causes else Fix())  # fmt: skip


def count(evidence: Evidence, found: Triples) -> Counted:
    """Training pairs by what they are to each sampled query; documents of one text are one."""
    queries, texts = len(evidence.train), numbered(evidence.documents)
    size = len(texts)
    asked = np.bincount(texts, evidence.asked)
    # documents beyond the sample are taken to be like those in it
    larger = evidence.training_pairs / max(float(asked.sum()), 1.0)
    answers = np.unique(found.queries * size + texts[found.documents])
    relevant = evidence.train.relevant
    own = np.unique(relevant.row_of_value() * size + texts[relevant.values])
    shared = np.bincount(own // size, asked[own % size] - 1, queries)
    return Counted(
        float(evidence.training_pairs),
        np.bincount(answers // size, asked[answers % size], queries).astype(np.float64) * larger,
        shared + _in_group(evidence) * larger,  # the pairs of its own documents are all known
    )


def _in_group(evidence: Evidence) -> Scores:
    """Training pairs of the other documents of the groups of each query's positives, (T,)."""
    relevant = evidence.train.relevant
    if not evidence.groups:
        return np.zeros(len(relevant))
    groups = numbered(["", *evidence.groups])[1:]
    of_group = np.bincount(groups, evidence.asked)
    others = np.where(groups > 0, of_group[groups] - evidence.asked, 0)
    return np.bincount(relevant.row_of_value(), others[relevant.values], len(relevant)).astype(np.float64)


def _of_documents(evidence: Evidence, likeness: Likeness) -> dict[str, float]:
    positives, trained = likeness.positives, evidence.asked > 0
    figures = {
        "near_duplicates": _with_other(likeness.by_tokens, trained),
        "near_duplicates_in_corpus": _with_other(likeness.by_tokens, np.ones(len(trained), np.bool_)),
        "shared_positives": float((evidence.asked[positives] > 1).mean()),
        "grouped": float(np.mean([bool(evidence.groups[row]) for row in positives])) if evidence.groups else 0.0,
    }
    if likeness.by_vectors is not None:
        figures["near_by_vectors"] = _with_other(likeness.by_vectors, trained)
    return figures


def _with_other(alike: Ragged, of: Mask) -> float:
    """Share of the rows that name a document `of` (D,)."""
    return float((np.bincount(alike.row_of_value(), of[alike.values], len(alike)) > 0).mean())


def _queries(found: Triples, evidence: Evidence) -> float:
    return len(np.unique(found.queries)) / len(evidence.train)


def _of_batches(evidence: Evidence, counted: Counted) -> dict[str, float]:
    size, pairs = float(evidence.settings.get("batch_size", BATCH_SIZE)), counted.pairs
    negatives = np.maximum(pairs - 1 - counted.masked, 1)
    return {
        "batch_size": size,
        "false_share": float((counted.answers / negatives).mean()),
        "met": _met(counted.answers, pairs, size),
        "met_without_masks": _met(counted.answers + counted.masked, pairs, size),
        **{f"met_at_{batch}": _met(counted.answers, pairs, batch) for batch in BATCH_SIZES},
    }


def _harm(evidence: Evidence, counted: Counted) -> dict[str, float]:
    found = [harm_begins(answers, counted.pairs, TOLERATED) for answers in (counted.answers, unsaid(evidence))]
    return {"harm_from": min(found)} if np.isfinite(min(found)) else {}


def _by_labels(evidence: Evidence, batch_size: float) -> dict[str, float]:
    if not len(answers := unsaid(evidence)):
        return {}
    return {"unsaid": float(answers.mean()),
            "met_by_labels": _met(answers, float(evidence.training_pairs), batch_size)}  # fmt: skip


def unsaid(evidence: Evidence) -> Scores:
    """Training pairs that answer a query beyond those it names, if training queries had the test queries' labels."""
    named = _others(evidence, evidence.test.relevant, keys(evidence))
    stated = _others(evidence, evidence.train.relevant, numbered(evidence.documents))
    found: Scores = np.maximum(named - stated.mean(), 0)
    return found


def _others(evidence: Evidence, relevant: Ragged, kinds: Rows) -> Scores:
    """Training pairs of the other answers of each query with any, beside one of them drawn: Σ w − Σ w² / Σ w.

    w are the pairs of each kind (D,) among the answers; those of one kind are masked from each other.
    """
    weights = evidence.asked[relevant.values]
    cells, cell = np.unique(relevant.row_of_value() * len(kinds) + kinds[relevant.values], return_inverse=True)
    of_cell = np.bincount(cell, weights, len(cells))
    row = cells // len(kinds)
    total, square = (np.bincount(row, values, len(relevant)) for values in (of_cell, of_cell**2))
    others: Scores = total[total > 0] - square[total > 0] / total[total > 0]
    return others


def _met(answers: Scores, pairs: float, batch_size: float) -> float:
    return float(met(answers, pairs, batch_size).mean())


def _of_probes(probes: Mapping[int, float]) -> dict[str, float]:
    if not probes:
        return {}
    stalls = max(probes.values()) - probes[max(probes)]
    return {**{f"probe_at_{size}": ndcg for size, ndcg in probes.items()}, "stalls": stalls}


def _summary(figures: Mapping[str, float]) -> str:
    labels = figures.get("met_by_labels", 0.0)
    said = f"; by the test queries' labels {labels:.0%}" if labels > TOLERATED else ""
    return (f"{figures['met']:.1%} of the training queries meet an answer among the negatives of a batch of "
            f"{figures['batch_size']:.0f}{said}; {figures['suspected']:.0%} have one among all pairs")  # fmt: skip


def _examples(evidence: Evidence, found: Triples) -> tuple[Example, ...]:
    """Of some queries each, its positive and a document that training would take for wrong."""
    _, first = np.unique(found.queries, return_index=True)
    chosen = found.at(np.random.default_rng(0).permutation(first)[:MOST_EXAMPLES])
    texts = zip(chosen.queries, chosen.positives, chosen.documents, strict=True)
    shown = [_example(evidence, *rows) for rows in texts]
    if evidence.base is None:
        return tuple(shown)
    own, other = (scores(evidence.base, chosen.queries, rows).tolist() for rows in (chosen.positives, chosen.documents))
    return tuple({**example, "score of the positive": own[i], "score of the false negative": other[i]}
                 for i, example in enumerate(shown))  # fmt: skip


def _example(evidence: Evidence, query: int, positive: int, document: int) -> Example:
    return {"query": evidence.train.queries[query], "positive": evidence.documents[positive],
            "false negative": evidence.documents[document]}  # fmt: skip


def _fix(evidence: Evidence, figures: Mapping[str, float], found: Triples, left: Triples) -> Fix:
    """A mask over near-duplicates; for the answers `left` then, batches below harm and a softmax that leans less on
    the hardest documents of the batch.
    """
    patch: dict[str, Any] = {}
    advice = []
    if len(left.queries) < len(found.queries):
        patch["data"] = {"mask_near_duplicates": True}
        advice.append("keep the near-duplicates of an answer out of its query's negatives")
    met_then = _met(count(evidence, left).answers, float(evidence.training_pairs), figures["batch_size"])
    if max(met_then, figures.get("met_by_labels", 0.0)) >= TOLERATED:
        patch |= _gentler(evidence, figures)
        advice.append("give documents of one entity a group, which keeps them out of each other's negatives; until "
                      "then, smaller batches, in which fewer queries meet one, and a temperature that leans less on "
                      "the hardest negatives")  # fmt: skip
    return Fix(patch, "; ".join([*advice, "merge the near-duplicates where you can"]))


def _gentler(evidence: Evidence, figures: Mapping[str, float]) -> dict[str, Any]:
    below = 2 ** int(np.log2(max(min(figures.get("harm_from", np.inf), 1 << 20) - 1, 1)))
    wanted = {"batch_size": max(SMALLEST, min(below, int(figures["batch_size"]))),
              "temperature": max(SOFT, float(evidence.settings.get("temperature", 0.0)))}  # fmt: skip
    train = {name: value for name, value in wanted.items() if value != evidence.settings.get(name)}
    return {"train": train} if train else {}
