"""Overfitting to query patterns: good on queries like those of training, and on no others (guide, section 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nearfar.core.folding import folded
from nearfar.diagnose.evidence import Course, Evidence, Questions, Scores, Subject
from nearfar.diagnose.finding import MOST_EXAMPLES, Example, Finding, Fix, Threshold, judge, unknown
from nearfar.diagnose.new_words import known_stems, shortened, weight_of_new
from nearfar.diagnose.novelty import nearest_vectors, nearest_words
from nearfar.diagnose.overfit_fix import fix_of
from nearfar.diagnose.ranking import ndcg_of_ranking, ndcg_of_vectors
from nearfar.diagnose.templates import Templates, parts
from nearfar.evaluate.statistics import interval

NAME = "overfit"
FEWEST = 30  # training queries, and judged queries of a bin
LARGEST = 5  # templates
BINS = 4
COPY = 0.9  # cosine of the words from which a query is a training query once more
SOURCE = "the failure zoo (benchmarks/failure_zoo)"
NEVER = 2.0  # no figure that it stands for gets there
FORMS = (Threshold("template_share", 0.4, 0.6, SOURCE), Threshold("form_shift", 0.18, 0.25, SOURCE))
LEAKS = (Threshold("leaked_test", 0.005, 0.05, SOURCE), Threshold("leaked_dev", 0.005, 0.05, SOURCE))
OTHERS = (
    Threshold("copies", 0.4, NEVER, SOURCE),
    Threshold("dev_fall", 0.015, NEVER, SOURCE),  # the weights of the best step are kept
    Threshold("dev_below_start", 0.015, 0.03, SOURCE),
)
BESIDE_BASE = (  # of the gap there is no limit: in the zoo it is larger in healthy runs than in failing ones
    Threshold("novel_gain_high", -0.01, -0.03, SOURCE),
    Threshold("new_words_kept", 0.85, 0.7, SOURCE),
)
FROM_NOTHING = (Threshold("new_words", 1.5, 1.3, SOURCE),)
LIVE = (Threshold("divergence_low", 0.02, 0.1, SOURCE),)


def diagnose(evidence: Evidence) -> Finding:
    """Look at how much the queries repeat each other, and at what the model makes of those that are new.

    The base tells how hard queries are without training. Where there is none, word search (BM25) stands for it, and
    what the model makes of queries by novelty is shown but not judged: what was never trained knows only what it was
    trained on. A log of live queries outweighs the forms of the queries: it shows what they stand for.

    Figures, of the data:
        template_share: of the training queries in their five largest templates.
        form_shift: share of the training queries in templates (of 1 % of them or more) beyond what the test queries
            have in each.
        templates: number of different forms, the perplexity of the training queries over templates.
        known_templates: share of the test queries whose template a training query has.
        copies: share of the test queries that have the words of a training query (idf-weighted cosine of 0.9).
        novelty: mean over the test queries of 1 − the cosine with the nearest training query, by the base's vectors or
            by words.
        leaked_test, leaked_dev: share of the test and dev queries that are in another split too.
    Of the model, nDCG@10 on test:
        ndcg_bin_1 … ndcg_bin_4: of the quarters of the queries, the most familiar first.
        gap, reference_gap: of the first quarter less the last, of the model and of the base or word search.
        excess_gap, excess_gap_low, excess_gap_high: the first less the second; bootstrap interval of 95 %.
        novel_gain, novel_gain_high: in the last quarter, of the model less the base or word search; the upper end of
            its interval.
        new_words, new_words_kept: how far a test query turns without words that training never saw, over how far
            without as many that it saw; and it over the same of the base.
        train_ndcg, train_test_gap: of a sample of the training queries; and it less the test queries', less the same
            of the base or word search.
    Of the course of training:
        best_at: the best step over all steps.
        dev_fall: the best nDCG on dev less the last.
        dev_below_start: the same where the start was best, so that training only harmed; 0 where it was not.
    Of a log of live queries:
        offline_gain, live_gain: nDCG@10 of the model less that of the base or word search, on test and on the log.
        divergence, divergence_low: the first less the second; lower end of its bootstrap interval of 95 %.
    """
    queries = _training_queries(evidence)
    if len(queries) < FEWEST:
        return unknown(NAME, f"at least {FEWEST} training queries, found {len(queries)}")
    figures = _of_patterns(evidence, queries) | _of_leaks(evidence) | of_course(evidence.course)
    nearest = np.zeros(0, np.int64)
    if len(evidence.test):
        nearest, cosines = _nearest(evidence, queries)
        figures["novelty"] = float(1 - cosines.mean())
        if evidence.model:
            figures |= _of_model(evidence, evidence.model, cosines)
    thresholds = _thresholds(evidence, figures)
    verdict, causes = judge(figures, thresholds)
    summary = "; ".join(causes) if causes else _healthy(figures)
    if 0 < len(evidence.live) < FEWEST:
        summary += f"; of the live log it cannot tell: needs at least {FEWEST} queries, found {len(evidence.live)}"
    examples = _examples(evidence, queries, nearest) if causes else ()
    fix = _fix(evidence, figures, thresholds) if causes else Fix()
    return Finding(NAME, verdict, summary, figures, thresholds, examples, fix)


def _thresholds(evidence: Evidence, figures: Mapping[str, float]) -> tuple[Threshold, ...]:
    trained = BESIDE_BASE if evidence.base else FROM_NOTHING if evidence.course.steps else ()
    return (*(LIVE if "divergence" in figures else FORMS), *LEAKS, *OTHERS, *trained)


def _training_queries(evidence: Evidence) -> Sequence[str]:
    return evidence.training_queries or evidence.train.queries


def _healthy(figures: Mapping[str, float]) -> str:
    return f"{figures['template_share']:.0%} of the training queries are of {LARGEST} templates"


def _of_patterns(evidence: Evidence, queries: Sequence[str]) -> dict[str, float]:
    templates = Templates.of(queries)
    counts = templates.counts(queries)
    largest = sum(count for _, count in counts.most_common(LARGEST))
    shares = np.array([*counts.values(), *[1] * (len(queries) - counts.total())]) / len(queries)
    figures = {"template_share": largest / len(queries), "templates": float(np.exp(-(shares * np.log(shares)).sum()))}
    if len(evidence.test):
        if len(evidence.test) >= BINS * FEWEST:
            figures["form_shift"] = templates.shift(queries, evidence.test.queries)
        figures["known_templates"] = float(np.mean([templates.template(q) in counts for q in evidence.test.queries]))
        figures["copies"] = float((_by_words(evidence, queries)[1] >= COPY).mean())
    return figures


def _of_leaks(evidence: Evidence) -> dict[str, float]:
    leaked = {*map(folded, evidence.leaked), *map(folded, evidence.training_queries)}
    sides = {"leaked_test": evidence.test.queries, "leaked_dev": evidence.dev_queries}
    return {name: float(np.mean([folded(query) in leaked for query in side]))
            for name, side in sides.items() if len(side)}  # fmt: skip


def of_course(course: Course) -> dict[str, float]:
    """The figures of the course of training."""
    if not course.dev or not course.steps:
        return {}
    values = [value for _, value in course.dev]
    fall = max(values) - values[-1]
    return {"best_at": course.best_step / course.steps, "dev_fall": fall,
            "dev_below_start": 0.0 if course.best_step else fall}  # fmt: skip


def _by_words(evidence: Evidence, queries: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return nearest_words([parts(query) for query in evidence.test.queries], [parts(query) for query in queries])


def _nearest(evidence: Evidence, queries: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest training query of each test query and the cosine with it, both (Q,)."""
    if evidence.base is None:
        return _by_words(evidence, queries)
    return nearest_vectors(evidence.base.test, evidence.base.encode(queries, "query"))


def _of_model(evidence: Evidence, model: Subject, cosines: NDArray[np.float32]) -> dict[str, float]:
    test, gains = _scores(evidence, model, evidence.test), _gains(evidence, model, evidence.test)
    figures: dict[str, float] = {}
    if len(cosines) >= BINS * FEWEST:
        figures |= of_bins(test, test - gains, cosines)
    figures |= _of_new_words(evidence, model)
    if len(evidence.train):
        train = _gains(evidence, model, evidence.train)
        figures["train_ndcg"] = float(_scores(evidence, model, evidence.train).mean())
        figures["train_test_gap"] = float(train.mean() - gains.mean())
    if len(evidence.live) >= FEWEST:
        figures |= of_live(gains, _gains(evidence, model, evidence.live))
    return figures


def _of_new_words(evidence: Evidence, model: Subject) -> dict[str, float]:
    trained = [evidence.documents[row] for row in np.flatnonzero(evidence.asked).tolist()]
    shown = shortened(evidence.test.queries, known_stems([*_training_queries(evidence), *trained]))
    if len(shown[0]) < FEWEST:
        return {}
    weight = weight_of_new(shown, model.encode)
    kept = {"new_words_kept": weight / weight_of_new(shown, evidence.base.encode)} if evidence.base else {}
    return {"new_words": weight, **kept}


def _gains(evidence: Evidence, model: Subject, asked: Questions) -> Scores:
    """What the model adds: nDCG of each query less that by the base, or by word search where there is no base, (Q,)."""
    found = _scores(evidence, model, asked)
    if evidence.base is not None:
        return found - _scores(evidence, evidence.base, asked)
    if evidence.lexical is not None:
        return found - ndcg_of_ranking(evidence.lexical(asked.queries), asked.relevant)
    return found


def _scores(evidence: Evidence, subject: Subject, asked: Questions) -> Scores:
    known = {id(evidence.test): subject.test, id(evidence.train): subject.train}
    vectors = known[id(asked)] if id(asked) in known else subject.encode(asked.queries, "query")
    return ndcg_of_vectors(vectors, subject.documents, asked.relevant)


def of_bins(model: Scores, reference: Scores, cosines: NDArray[np.float32]) -> dict[str, float]:
    """Mean nDCG in bins of equal size by novelty, and the gap between the first and the last beyond the reference's."""
    bins = np.array_split(np.argsort(-cosines, kind="stable"), BINS)
    first, last = bins[0], bins[-1]
    gains = model - reference
    excess, low, high = difference(gains[first], gains[last])
    novel = gains[last]
    return {f"ndcg_bin_{number}": float(model[rows].mean()) for number, rows in enumerate(bins, 1)} | {
        "gap": float(model[first].mean() - model[last].mean()),
        "reference_gap": float(reference[first].mean() - reference[last].mean()),
        "excess_gap": excess,
        "excess_gap_low": low,
        "excess_gap_high": high,
        "novel_gain": float(novel.mean()),
        "novel_gain_high": interval(novel, seed=0)[1],
    }


def of_live(offline: Scores, live: Scores) -> dict[str, float]:
    """The gain on test queries and on live ones, and how far they are apart."""
    apart, low, _ = difference(offline, live)
    gains = {"offline_gain": float(offline.mean()), "live_gain": float(live.mean())}
    return gains | {"divergence": apart, "divergence_low": low}


def difference(first: Scores, second: Scores) -> tuple[float, float, float]:
    """Difference of the means of two independent samples, and its bootstrap interval of 95 %.

    They are paired at random, the longer one cut into as many parts as the shorter has scores: the mean of the
    differences is bootstrapped, and its variance is the sum of both.
    """
    size, rng = min(len(first), len(second)), np.random.default_rng(0)
    means = [
        np.array([part.mean() for part in np.array_split(rng.permutation(side), size)]) for side in (first, second)
    ]
    low, high = interval(means[0] - means[1], seed=0)
    return float(first.mean() - second.mean()), low, high


def _examples(evidence: Evidence, queries: Sequence[str], nearest: NDArray[np.int64]) -> tuple[Example, ...]:
    """Leaked queries, then the largest templates with a query of each, then test queries beside the nearest one."""
    leaked: list[Example] = [{"leaked query": query} for query in evidence.leaked[: MOST_EXAMPLES // 2]]
    templates = Templates.of(queries)
    first = {templates.template(query): query for query in reversed(queries)}
    forms: list[Example] = [{"template": form, "queries": float(count), "first": first[form]}
                            for form, count in templates.counts(queries).most_common(LARGEST)]  # fmt: skip
    pairs: list[Example] = [{"test query": query, "nearest training query": queries[row]}
                            for query, row in zip(evidence.test.queries, nearest, strict=False)]  # fmt: skip
    return tuple([*leaked, *forms, *pairs][:MOST_EXAMPLES])


def _fix(evidence: Evidence, figures: Mapping[str, float], thresholds: Sequence[Threshold]) -> Fix:
    def broken(rules: Sequence[Threshold]) -> bool:
        return judge(figures, rules)[0] != "ok"

    others = [rule for rule in thresholds if rule.figure != "leaked_test"]
    return fix_of(evidence, leaks=broken(LEAKS), forms=broken(FORMS), others=broken(others))
