"""Shortcut learning: tokens that query and document share decide in place of the meaning (guide, section 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nearfar.core.surface import FAMILIES, family
from nearfar.core.surface import NAME as BRAND
from nearfar.diagnose.counterfactual import Probed, distractor_rate, masked, paraphrase_drop, quality, swap_rate
from nearfar.diagnose.elsewhere import with_elsewhere
from nearfar.diagnose.evidence import Evidence, Questions, Subject
from nearfar.diagnose.explained import FEATURES, explained
from nearfar.diagnose.finding import (
    MOST_EXAMPLES,
    SEVERITY,
    Example,
    Finding,
    Fix,
    Threshold,
    judge,
    unknown,
)
from nearfar.diagnose.surface import Postings, Shared, all_tokens, shared, words

NAME = "shortcut"
FEWEST = 30  # judged queries, and queries that share surface tokens with a relevant document
MOST_PROBED = 300  # queries that are rewritten and encoded again
USUAL_BATCH = 256
MANY = 0.1  # share of the pairs that a family of tokens must decide to be masked
SOURCE = "the failure zoo (benchmarks/failure_zoo)"
OF_DATA = (Threshold("decided_by_surface", 0.5, 0.7, SOURCE), Threshold("surface_excess", 0.15, 0.3, SOURCE))
OF_MODEL = (Threshold("masked_drop", 0.02, 0.04, "masked drop decides only together with another figure"),)


@dataclass(frozen=True)
class View:
    """One split: which queries share surface tokens with a relevant document, and how far these decide."""

    name: str
    questions: Questions
    shared: Sequence[Shared]
    wins: NDArray[np.float64]  # (len(shared),) probability that the tokens decide in a batch
    families: Mapping[str, float]  # share of all queries that the tokens of one family alone decide

    @property
    def decided(self) -> float:
        """Share of all queries of the split whose surface tokens alone decide."""
        return float(self.wins.sum() / max(1, len(self.questions)))

    def drawn(self, model: Subject) -> Probed:
        """A sample of the queries that share tokens."""
        picked = np.sort(np.random.default_rng(0).permutation(len(self.shared))[:MOST_PROBED])
        chosen = [self.shared[place] for place in picked]
        vectors = (model.test if self.name == "test" else model.train)[[one.row for one in chosen]]
        return Probed(self.questions, chosen, vectors)


def diagnose(evidence: Evidence) -> Finding:
    """Look at whether shared surface tokens decide, and what is left of the ranking without them.

    A verdict needs both: pairs that surface alone solves, so that nothing else had to be learnt, and a model that loses
    without it. Both are measured on the training queries; where there are none, on the test queries.

    Figures:
        shares_surface: share of the queries that share a number, date, path, identifier, acronym or name exactly with
            a relevant document.
        decided_by_surface: mean probability that these tokens alone tell the positive from a batch of documents; 0 for
            a query without any; decided_by_date … decided_by_name: that those of one family do.
        surface_excess: that of the training queries, less that of the test queries: what is learnt from the tokens
            is of no use there.
        masked_drop: share of nDCG@10 that queries with such tokens lose when the tokens are taken out of them;
            base_masked_drop is the base's.
        distractor_rate: how often another document outranks the relevant one once it carries the shared tokens.
        swap_rate: how often a query with the tokens of another finds the other's document before its own.
        paraphrase_drop: share of nDCG@10 lost when test queries are said in other words, by rules or a language model.
        surface_r2: share of the variance of the scores of candidates that surface features add to relevance, shared
            words and the base's score (partial R²); r2_… of one feature alone.
        test_…: the same of the test queries.
    Of other data sets, where some were given:
        elsewhere_gain, elsewhere_gain_high: mean nDCG@10 of the model less the base's (or word search's, where there is
            no base) on the worst of them, and the upper end of its bootstrap interval of 95 %, paired by queries.
        gain: the same difference on the test queries at hand.
    They can make the verdict worse by themselves: `watch` for a loss elsewhere, `fail` for a larger one beside a gain
    at home (`with_elsewhere` has the limits).
    """
    found = _of_surface(evidence)
    return with_elsewhere(found, evidence) if evidence.elsewhere else found


def _of_surface(evidence: Evidence) -> Finding:
    views = _views(evidence)
    if not views:
        return unknown(NAME, f"at least {FEWEST} judged queries, found {_most_queries(evidence)}")
    view = views[0]
    if view.name == "test" and len(view.shared) < FEWEST:
        return unknown(NAME, f"the training queries, or at least {FEWEST} test queries that share a number, date, "
                       f"identifier or name with their documents, found {len(view.shared)}")  # fmt: skip
    figures = _of_data(views)
    probes = {one.name: one.drawn(evidence.model) for one in views} if evidence.model else {}
    for name, probed in probes.items():
        prefix = "" if name == view.name else "test_"
        figures |= {prefix + key: value for key, value in _of_model(evidence, probed, name).items()}
    if evidence.model and len(evidence.test):
        figures |= _of_test(evidence, evidence.model)
    return _finding(evidence, view, probes.get(view.name), figures)


def _views(evidence: Evidence) -> list[View]:
    """The splits with enough queries, training first: it is what the model learnt from."""
    splits = {"train": evidence.train, "test": evidence.test}
    having = [all_tokens(document) for document in evidence.documents]
    postings = Postings(having)
    batch_size = _batch_size(evidence)
    views = []
    for name, questions in splits.items():
        if len(questions) >= FEWEST:
            found = shared(questions, having)
            wins = [postings.wins(one.tokens, questions.relevant[one.row], batch_size) for one in found]
            of_family = dict.fromkeys(FAMILIES, 0.0)
            for one in found:
                for kind in {family(token) for token in one.tokens}:
                    tokens = [token for token in one.tokens if family(token) == kind]
                    of_family[kind] += postings.wins(tokens, questions.relevant[one.row], batch_size) / len(questions)
            views.append(View(name, questions, found, np.array(wins), of_family))
    return views


def _batch_size(evidence: Evidence) -> int:
    """The largest batch of the run, or a usual one."""
    return max((int(part["batch_size"]) for part in (evidence.settings, *evidence.stages) if "batch_size" in part),
               default=USUAL_BATCH)  # fmt: skip


def _most_queries(evidence: Evidence) -> int:
    return max(len(evidence.train), len(evidence.test))


def _of_data(views: Sequence[View]) -> dict[str, float]:
    figures = {}
    for number, view in enumerate(views):
        prefix = "test_" if number else ""
        figures[f"{prefix}shares_surface"] = len(view.shared) / len(view.questions)
        figures[f"{prefix}decided_by_surface"] = view.decided
        figures |= {f"{prefix}decided_by_{kind}": share for kind, share in view.families.items()}
    if len(views) > 1:
        figures["surface_excess"] = figures["decided_by_surface"] - figures["test_decided_by_surface"]
    return figures


def _of_model(evidence: Evidence, probed: Probed, split: str) -> dict[str, float]:
    if evidence.model is None or len(probed.shared) < FEWEST:
        return {}
    figures = {"masked_drop": _drop(probed, evidence.model),
               "distractor_rate": float(distractor_rate(probed, evidence.model, evidence).mean()),
               "swap_rate": float(swap_rate(probed, evidence.model).mean())}  # fmt: skip
    if evidence.base:
        vectors = (evidence.base.test if split == "test" else evidence.base.train)[probed.rows]
        figures["base_masked_drop"] = _drop(Probed(probed.questions, probed.shared, vectors), evidence.base)
    return figures


def _drop(probed: Probed, model: Subject) -> float:
    """Share of nDCG@10 that is lost when the shared tokens are taken out of the queries."""
    before = quality(probed.vectors, model, probed.questions, probed.rows).mean()
    after = quality(model.encode(masked(probed), "query"), model, probed.questions, probed.rows).mean()
    return float(1 - after / before) if before else 0.0


def _of_test(evidence: Evidence, model: Subject) -> dict[str, float]:
    tokens = [all_tokens(document) for document in evidence.documents]
    rarity = Postings([words(document) for document in evidence.documents])
    return explained(evidence, model, tokens, rarity) | paraphrase_drop(evidence, model, FEWEST, MOST_PROBED)


def _finding(evidence: Evidence, view: View, probed: Probed | None, figures: dict[str, float]) -> Finding:
    """The milder verdict of pairs and model: one that ranks as well without the tokens took no shortcut."""
    rules = (OF_DATA, OF_MODEL) if "masked_drop" in figures else (OF_DATA,)
    judged = [judge(figures, part) for part in rules]
    verdict = min((one for one, _ in judged), key=SEVERITY.index)
    seen = f"surface tokens alone decide {figures['decided_by_surface']:.0%} of the {view.name} pairs"
    if "masked_drop" in figures:
        seen += f"; without them {figures['masked_drop']:.0%} of nDCG@10 is lost"
    if "surface_r2" in figures:
        strongest = max(FEATURES, key=lambda name: figures[f"r2_{name}"])
        seen += f"; strongest in the scores: {strongest} (partial R² {figures[f'r2_{strongest}']:.2f})"
    if evidence.paraphrased_by and "paraphrase_drop" in figures:
        seen += f"; in the words of {evidence.paraphrased_by} {figures['paraphrase_drop']:.0%} is lost"
    found = verdict != "ok"
    examples = _examples(evidence, view, probed) if found else ()
    thresholds = tuple(rule for part in rules for rule in part)
    return Finding(
        NAME, verdict, seen, figures, thresholds, examples, _fix(evidence, _deciding(figures)) if found else Fix()
    )


def _examples(evidence: Evidence, view: View, probed: Probed | None) -> tuple[Example, ...]:
    """Queries that lose most without the tokens they share; without a model, those that the tokens decide."""
    if probed is None or evidence.model is None:
        order = np.argsort(-view.wins, kind="stable")[:MOST_EXAMPLES]
        return tuple(_pair(evidence, view.questions, view.shared[place]) for place in order)
    model, texts = evidence.model, masked(probed)
    before, after = (quality(vectors, model, probed.questions, probed.rows)
                     for vectors in (probed.vectors, model.encode(texts, "query")))  # fmt: skip
    return tuple(_pair(evidence, probed.questions, probed.shared[place])
                 | {"without": texts[place], "ndcg": float(before[place]), "ndcg_without": float(after[place])}
                 for place in np.argsort(after - before, kind="stable")[:MOST_EXAMPLES])  # fmt: skip


def _pair(evidence: Evidence, questions: Questions, one: Shared) -> dict[str, str | float]:
    return {"query": questions.queries[one.row], "document": evidence.documents[questions.relevant[one.row][0]],
            "shared": ", ".join(sorted(one.tokens))}  # fmt: skip


def _deciding(figures: Mapping[str, float]) -> list[str]:
    """The families that decide many training pairs, and not as many test pairs where there are any; one at least."""
    shares = {kind: figures[f"decided_by_{kind}"] for kind in FAMILIES}
    excess = {kind: share - figures.get(f"test_decided_by_{kind}", 0.0) for kind, share in shares.items()}
    for by in (excess, shares):
        if found := [kind for kind in FAMILIES if by[kind] >= MANY]:
            return found
    return [max(shares, key=lambda kind: shares[kind])]


def _fix(evidence: Evidence, families: Sequence[str]) -> Fix:
    """Queries without the shared tokens of these families in the place of those with them (guide, section 7)."""
    stages = [dict(stage) for stage in evidence.stages] or [{"kind": "train"}]
    others = [kind for kind in families if kind != BRAND]
    kinds = [f"{others[0]}s"] if len(others) == 1 else ["mask"] if others else []
    kinds += ["names"] if BRAND in families else []
    patch = {"recipe": None, "stages": [{"kind": "augment", "kinds": kinds, "share": 1.0, "replace": True}, *stages]}
    return Fix(patch, "train on the queries without the shared tokens; where they are asked for too, keep both "
               "(replace: false); where the pairs are many, keep those that share the fewest words instead "
               "(data.select: {by: overlap, keep: hardest, share: 0.5}), or learn soft labels from a teacher that is "
               "not misled by the tokens")  # fmt: skip
