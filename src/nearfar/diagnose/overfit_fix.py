"""What is advised against overfitting: no leaks, passages as queries beside those of one form, a gentler schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearfar.diagnose.evidence import Evidence
from nearfar.diagnose.finding import Fix

USUAL_EPOCHS, USUAL_STATIC_EPOCHS = 2, 6  # of a transformer, and of a token table
USUAL_BATCH, MOST_OF_ONE_FORM = 256, 10  # pairs; epochs over queries of one form
FEWEST_PASSAGES, PASSAGES, MOST_PASSAGES = 3, 10, 100_000  # of a document; of all, beyond the fewest of each
CLOZE = "cloze"  # the kind of stage
TEACHER, TAUGHT = "minilm", {"info_nce": 1.0, "embedding_distillation": 10.0}  # weights of the losses
GENTLER = (
    "the default learning rate, an end when dev stops to rise, and more negatives for each query "
    "rather than more queries of the same form (nearfar mine)"
)
DROP = "leave out training queries that are in dev or test too"
VARIED = "passages of the documents as queries first, and then those of one form alone, in few epochs"
FEW = "few epochs, since dev queries of the same forms do not tell when to stop"
WISER = (
    "a teacher, since a token table knows no word that it has not met: "
    f"{TEACHER} (pip install 'nearfar[offline]'), or a model that knows your texts better"
)
ASK = (
    "add queries as people ask them, and see what the model is worth on such: nearfar doctor model RUN --live log.jsonl"
)


def fix_of(evidence: Evidence, *, leaks: bool, forms: bool, others: bool) -> Fix:
    """No leaks; passages of the documents where queries are of one form; else a gentler schedule and more negatives.

    A dev set of the same forms does not tell when to stop, so that epochs are few then (guide, section 7).
    Transformers know the documents' words already: passages did them no good, nor rewriting, nor the base as teacher.
    """
    patch: dict[str, Any] = {}
    advice = []
    if leaks:
        patch["data"] = {"drop_leaked": True}
        advice.append(DROP)
    if forms:
        transformer = evidence.base is not None and not evidence.base.is_static
        most = USUAL_EPOCHS if transformer else MOST_OF_ONE_FORM
        patch["train"] = {"epochs": min(most, int(evidence.settings.get("epochs", most))), "learning_rate": None}
        if not transformer:
            patch |= {"recipe": None, "stages": _stages(evidence)}
        advice.append(FEW if transformer else VARIED)
        if _is_taught(evidence):
            patch["teachers"] = {"models": [TEACHER]}
            advice.append(WISER)
        advice.append(ASK)
    elif others:
        patch["train"] = _schedule(evidence.settings)
        advice.append(GENTLER)
    return Fix(patch, "; ".join(advice))


def _stages(evidence: Evidence) -> list[dict[str, Any]]:
    """Training on passages and queries, and then, without the passages, what the run did."""
    passages = max(FEWEST_PASSAGES, min(PASSAGES, MOST_PASSAGES // max(1, len(evidence.documents))))
    own = [dict(stage) for stage in evidence.stages if stage["kind"] != CLOZE] or [{"kind": "train"}]
    first: dict[str, Any] = {
        "kind": "train",
        "epochs": USUAL_STATIC_EPOCHS if _is_static(evidence) else USUAL_EPOCHS,
        "batch_size": max(USUAL_BATCH, int(evidence.settings.get("batch_size", USUAL_BATCH))),
    }
    if _is_taught(evidence):
        first["loss"] = TAUGHT
    return [{"kind": CLOZE, "passages": passages}, first, {"kind": CLOZE, "passages": 0}, *own]


def _is_static(evidence: Evidence) -> bool:
    """Whether training starts from a token table, be it a fresh one."""
    return evidence.base.is_static if evidence.base else evidence.is_fresh


def _is_taught(evidence: Evidence) -> bool:
    """Whether the passages are learnt from a teacher: by token tables whose run has none of its own."""
    return _is_static(evidence) and not evidence.has_teachers


def _schedule(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The default rate, an early end by dev, decay, warm-up, negatives: what is gentler already stays."""
    return {
        "learning_rate": None,
        "patience": min(2, int(settings.get("patience", 2))),
        "evaluations": max(10, int(settings.get("evaluations", 10))),
        "warmup": max(0.1, float(settings.get("warmup", 0.1))),
        "weight_decay": max(0.1, float(settings.get("weight_decay", 0.1))),
        "hard_negatives": max(4, int(settings.get("hard_negatives", 4))),
    }
