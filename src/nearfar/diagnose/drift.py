"""Embedding drift: documents were encoded by one model, and queries are by another (guide, section 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nearfar.diagnose.evidence import Evidence, Mask, Questions, Stored, Subject
from nearfar.diagnose.finding import MOST_EXAMPLES, Example, Finding, Fix, Threshold, judge, unknown
from nearfar.diagnose.spaces import MOST_DOCUMENTS, Spaces, cosines, draw, linear_cka, procrustes_residual, ranks

NAME = "drift"
FEWEST = 50  # queries, for recall to be judged by: one of them is less than what fails
CHANGED = 0.99  # cosine of a stored vector with the same model's own, under which it is another vector
SOURCE = "the failure zoo (benchmarks/failure_zoo)"
BY_DESIGN = "an index answers queries of its own model alone"
BROKEN = (
    Threshold("dimensions_differ", 1, 1, BY_DESIGN),
    Threshold("stored_not_finite", 1, 1, BY_DESIGN),
    Threshold("encoded_not_finite", 1, 1, BY_DESIGN),
)
FOREIGN = Threshold("fingerprints_differ", 1, 2, BY_DESIGN)  # watched at least, and no failure by itself
DAMAGED = Threshold("changed", 1 / MOST_DOCUMENTS, 0.05, SOURCE)  # rounding changes none
BY_RECALL = tuple(
    Threshold(f"{metric}_{loss}", 0.01, 0.02, SOURCE) for loss in ("lost", "dropped") for metric in ("recall", "ndcg")
)
BY_COSINE = (Threshold("cosine", 0.999, 0.975, SOURCE), Threshold("canary_cosine", 0.999, 0.975, SOURCE))

Figures = dict[str, float]


def diagnose(evidence: Evidence) -> Finding:
    """Hold a stored index against the model that is to ask it.

    The verdict is about an index: of a run, its own one. A model that has moved away from its base has done what
    training is for, and is no failure: without an index the finding has the figures (named base_…) and no verdict.
    With one, they only say what an older index, made with the base, would be worth.

    A sample is looked at: at most 500 queries (those of the test split, or the first words of documents where none are
    judged) and 2,000 documents, the relevant ones and others drawn at random; the same ones in every cell.

    Figures:
        fingerprints_differ, dimensions_differ: 1 where they do, of the index's model and the one that asks.
        recall_X_queries_Y_documents, ndcg_X_queries_Y_documents: at 10, X and Y old (the index's model) or new (the one
            that asks); old queries only where the old model is at hand. nDCG counts all relevant documents alike.
        recall_lost, ndcg_lost: new queries on new documents, less new queries on the stored ones: what re-embedding
            brings back.
        recall_dropped, ndcg_dropped: old queries on the stored documents, less new queries on them: what was lost when
            the model was exchanged. A new model that is worse on these documents shows here alone.
        cosine: mean, of a stored vector with the same document's new one.
        changed: share of the stored vectors whose cosine with the new one is under 0.99.
        cka: linear, of stored and new documents; 1 where one space is the other turned and scaled.
        procrustes_residual: what the best rotation leaves, of documents that it was not fitted on; needs twice as many
            documents as dimensions.
        canary_cosine: as cosine, over the texts that are kept with an index.
        query_norm, document_norm: mean length before normalisation, by the new model; old_…: by the index's.
        stored_not_finite, encoded_not_finite: documents whose vector is no number, in the index and in the sample.
        documents, minutes, megabytes: what re-embedding all costs.
    """
    moved, what = _of_base(evidence)
    stored = evidence.stored
    if stored is None:
        return unknown(NAME, "an index: nearfar doctor index INDEX --model MODEL" + what, moved)
    if not len(stored.vectors):
        return unknown(NAME, "an index with documents, found an empty one")
    spaces = _spaces(stored)
    figures = _measured(stored, spaces)
    rules = _rules(figures, len(stored.questions))
    verdict, _ = judge(figures, rules)
    examples = () if verdict == "ok" else _examples(stored, spaces, figures)
    fix = Fix() if verdict == "ok" else Fix({}, _advice(stored, figures))
    return Finding(NAME, verdict, _summary(stored, figures) + what, figures | moved, rules, examples, fix)


def _rules(figures: Mapping[str, float], queries: int) -> tuple[Threshold, ...]:
    """A foreign model is judged by what retrieval loses, and by cosines alone where too few queries can tell."""
    if not figures["fingerprints_differ"]:
        return (*BROKEN, DAMAGED, *(BY_RECALL if queries >= FEWEST else ()))
    return (*BROKEN, FOREIGN, *(BY_RECALL if queries >= FEWEST else BY_COSINE))


def _spaces(stored: Stored) -> Spaces:
    return Spaces(stored.vectors, stored.encoded, stored.old_queries, stored.queries, stored.questions.relevant)


def _measured(stored: Stored, spaces: Spaces) -> Figures:
    figures = {
        "fingerprints_differ": float(stored.fingerprint != stored.asked_by),
        "dimensions_differ": float(spaces.old.shape[1] != spaces.new.shape[1]),
        "stored_not_finite": float(len(stored.not_finite)),
        "encoded_not_finite": float((~_finite(stored.encoded)).sum()),
    }
    figures |= compared(spaces)
    if stored.canaries and stored.canaries[0].shape[1] == stored.canaries[1].shape[1]:
        figures["canary_cosine"] = float(cosines(*stored.canaries).mean())
    cost = {"documents": float(stored.size), "minutes": stored.seconds / 60,
            "megabytes": stored.size * spaces.new.shape[1] * 4 / 1e6}  # fmt: skip
    return {key: value for key, value in (figures | dict(stored.norms) | cost).items() if not math.isnan(value)}


def compared(spaces: Spaces) -> Figures:
    """The recall matrix, and how alike the two spaces are; what cannot be computed is left out."""
    figures: Figures = {}
    if len(spaces.relevant):
        for cell, (queries, documents) in spaces.cells().items():
            means = ranks(queries, documents, spaces.relevant)
            figures |= {f"{metric}_{cell}": float(values.mean()) for metric, values in means.items()}
    for metric in ("recall", "ndcg"):
        for side, name in (("new", "lost"), ("old", "dropped")):
            mixed, own = (f"{metric}_{pair}_documents" for pair in ("new_queries_old", f"{side}_queries_{side}"))
            if mixed in figures and own in figures:
                figures[f"{metric}_{name}"] = figures[own] - figures[mixed]
    whole = _finite(np.concatenate([spaces.old, spaces.new], axis=1))
    return figures | _alike(spaces, whole) if whole.any() else figures


def _alike(spaces: Spaces, whole: Mask) -> Figures:
    old, new = spaces.old[whole], spaces.new[whole]
    figures = {"cka": linear_cka(old, new), "procrustes_residual": procrustes_residual(old, new)}
    if old.shape[1] == new.shape[1]:
        near = cosines(old, new)
        figures |= {"cosine": float(near.mean()), "changed": float((near < CHANGED).mean())}
    return {key: value for key, value in figures.items() if not math.isnan(value)}


def _finite(vectors: NDArray[np.float32]) -> Mask:
    found: Mask = np.all(np.isfinite(vectors), axis=1)
    return found


def _of_base(evidence: Evidence) -> tuple[Figures, str]:
    """How far the model is from its base, and in words what an index of the base would be worth."""
    model, base = evidence.model, evidence.base
    if model is None or base is None or not len(model.documents):
        return {}, ""
    figures = compared(_between(base, model, evidence.test))
    named = {f"base_{key}": value for key, value in figures.items()}
    old, new = (figures.get(f"recall_new_queries_{side}_documents", math.nan) for side in ("old", "new"))
    if model.fingerprint and model.fingerprint == base.fingerprint:
        return named, ""
    cost = f": recall@10 {old:.3f} in place of {new:.3f}" if "recall_lost" in figures else ""
    return named, f"; an index made with {base.name} would be stale{cost}"


def _between(base: Subject, model: Subject, test: Questions) -> Spaces:
    part = draw(test.relevant, len(model.documents))
    return Spaces(base.documents[part.documents], model.documents[part.documents], base.test[part.queries],
                  model.test[part.queries], part.relevant)  # fmt: skip


def _summary(stored: Stored, figures: Mapping[str, float]) -> str:
    parts = []
    for side, count in (("stored", "stored_not_finite"), ("new", "encoded_not_finite")):
        parts += [f"{figures[count]:.0f} {side} vectors are no numbers"] if figures[count] else []
    if figures["fingerprints_differ"]:
        parts.append(f"the index is of model {stored.fingerprint}, asked by {stored.asked_by}")
    if figures["dimensions_differ"]:
        parts.append(f"{stored.vectors.shape[1]} dimensions are stored, {stored.encoded.shape[1]} are asked with")
    elif "recall_lost" in figures and parts:
        old, new = (figures[f"recall_new_queries_{side}_documents"] for side in ("old", "new"))
        parts.append(f"recall@10 {old:.3f} in place of {new:.3f} after re-embedding{_before(figures)}")
    if not figures["fingerprints_differ"] and "cosine" in figures:
        same = f"{figures['changed']:.1%} of the stored vectors are not the model's own"
        parts.append(same if figures["changed"] else "the stored vectors are the model's own")
    return "; ".join(parts)


def _before(figures: Mapping[str, float]) -> str:
    own = figures.get("recall_old_queries_old_documents")
    return "" if own is None else f", {own:.3f} with its own model"


def _examples(stored: Stored, spaces: Spaces, figures: Mapping[str, float]) -> tuple[Example, ...]:
    """What is no number, then documents that are not where they were, or queries that lose their documents."""
    broken: list[Example] = [{"id": key, "stored as no number": text} for key, text in stored.not_finite]
    broken += [{"id": stored.ids[row], "encoded as no number": stored.texts[row]}
               for row in map(int, np.flatnonzero(~_finite(stored.encoded)))]  # fmt: skip
    if figures["dimensions_differ"]:
        return tuple(broken[:MOST_EXAMPLES])
    more = _lost(stored, spaces) if figures["fingerprints_differ"] else _moved(stored)
    return tuple([*broken, *more][:MOST_EXAMPLES])


def _moved(stored: Stored) -> list[Example]:
    near = np.nan_to_num(cosines(stored.vectors, stored.encoded), nan=1.0)
    rows = [int(row) for row in np.argsort(near, kind="stable")[:MOST_EXAMPLES] if near[row] < CHANGED]
    return [{"id": stored.ids[row], "document": stored.texts[row], "cosine": float(near[row])} for row in rows]


def _lost(stored: Stored, spaces: Spaces) -> list[Example]:
    """Queries whose first relevant document has fallen furthest, with its places in the sample."""
    relevant = spaces.relevant
    places = [_place(spaces.new_queries, side, spaces) for side in (spaces.old, spaces.new)]
    worst = np.argsort(places[1] - places[0], kind="stable")[:MOST_EXAMPLES]
    return [{"query": stored.questions.queries[row], "document": stored.texts[relevant[row][0]],
             "place in the index": float(places[0][row]), "place after re-embedding": float(places[1][row])}
            for row in map(int, worst) if places[0][row] > places[1][row]]  # fmt: skip


def _place(queries: NDArray[np.float32], documents: NDArray[np.float32], spaces: Spaces) -> NDArray[np.int64]:
    """The place of each query's first relevant document among all of the sample, from 1; (Q,)."""
    scores = np.nan_to_num(queries @ documents.T, nan=-np.inf, neginf=-np.inf)
    first = spaces.relevant.values[spaces.relevant.offsets[:-1]]
    own = scores[np.arange(len(scores)), first]
    found: NDArray[np.int64] = 1 + (scores > own[:, None]).sum(axis=1)
    return found


def _advice(stored: Stored, figures: Mapping[str, float]) -> str:
    minutes = figures.get("minutes", math.nan)
    cost = "" if math.isnan(minutes) else f"about {minutes:.0f} minutes, " if minutes >= 1.5 else "about a minute, "
    build = f"nearfar index build --from {stored.place} --model {stored.model}"
    again = f"re-embed {stored.size:,} documents ({cost}{figures['megabytes']:.1f} MB of vectors): {build}"
    if not figures["fingerprints_differ"]:
        return again
    back = f"ask with the index's own model, {stored.fingerprint}"
    old, new = (figures.get(f"ndcg_{side}_queries_{side}_documents", math.nan) for side in ("old", "new"))
    if old - new >= BY_RECALL[0].watch:
        return f"{back}, which is better on these documents (nDCG@10 {old:.3f} against {new:.3f}); or {again}"
    return f"{again}; or {back}"
