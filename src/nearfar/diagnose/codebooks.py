"""Codes that do not stand for their documents: centroids without use, or documents unlike those fitted to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nearfar.diagnose.evidence import Vectors
from nearfar.diagnose.finding import MOST_EXAMPLES, Example, Finding, Fix, Threshold, judge, unknown

NAME = "codebooks"
FEWEST = 100  # documents, for errors and neighbours to be judged by
NEIGHBOURS = 10
AMONG = 2000  # documents of which these are: as many here as there, as fewer are easier
NEGLIGIBLE = 1e-4  # of a squared length: an error that no ranking shows
COSTS, COSTS_MUCH = 0.05, 0.15  # neighbours lost, by which a larger error is watched, and fails
ELSEWHERE = 0.7  # of the perplexity: documents that use fewer centroids than those fitted to lie in other places

BY_DESIGN = "a search refuses codes of another index"
MEASURED = "eleven codecs on NL2Bash, healthy and asked for medical documents (docs/doctor.md)"
STALE = Threshold("of_another_index", 1, 1, BY_DESIGN)
DEAD = Threshold("dead", 0.05, 0.25, MEASURED)
PERPLEXITY = Threshold("perplexity_share", 0.4, 0.1, MEASURED)
LEAST = Threshold("least_perplexity_share", 0.1, 0.02, MEASURED)
KEPT = Threshold("neighbours_kept", 0.4, 0.2, MEASURED)
DRIFT = Threshold("residual_drift", 1.3, 1.6, MEASURED)
SOME_DRIFT = replace(DRIFT, fail=math.inf)
RULES = (STALE, DEAD, PERPLEXITY, LEAST, KEPT)

Codes = NDArray[np.uint8]  # (n, size_bytes)
Figures = dict[str, float]


@dataclass(frozen=True)
class Usage:
    """How codes use the centroids of their codebooks."""

    used: float  # share that some code names
    perplexity: float  # mean of the codebooks, and
    least: float  # of the one that has least
    centroids: int  # of a codebook
    codes: int  # it was counted over


@dataclass(frozen=True)
class Look:
    """Documents, their codes, and queries for them."""

    ids: Sequence[str]  # (n,)
    texts: Sequence[str]  # (n,)
    vectors: Vectors  # (n, d)
    codes: Codes  # (n, size_bytes)
    errors: Vectors  # (n,), ‖x − x̂‖² / ‖x‖² of each document x and what its code stands for, x̂
    queries: Vectors  # (Q, d)
    usage: Usage | None = None  # of codebooks, where the codec has any


@dataclass(frozen=True)
class Coded:
    """A folder of codes, and the documents it is held against."""

    place: str  # the run
    codec: str
    size_bytes: int
    score: Callable[[Vectors, Codes], Vectors]  # queries (Q, d), codes (n, size_bytes) → (Q, n)
    documents: int  # fitted to
    own: Look | None  # documents fitted to; None where the index holds others by now
    given: Look | None = None  # others, to look at in their place
    usage: Usage | None = None  # of the codes as they lie on disk
    fitted_error: float = field(default=math.nan)  # mean ‖x − x̂‖² / ‖x‖² of the documents fitted to, then


def diagnose(coded: Coded) -> Finding:
    """Hold codes against documents: those they were fitted to, those the index holds by now, or others that may come.

    Figures:
        dead: share of the centroids that no code names.
        perplexity, least_perplexity: 2^entropy of a codebook's centroids, mean of the codebooks and least; …_share: of
            the highest possible, the centroids of a codebook or the documents if they are fewer.
        error: mean ‖x − x̂‖² / ‖x‖² of these documents x and what their codes stand for, x̂; fitted_error: the same of
            the documents fitted to, when the codec was fitted.
        residual_drift: error over fitted_error; judged where it costs neighbours, and fails where it costs many.
        neighbours_kept: share of the ten documents, of 2,000, nearest to a query by full vectors that are so by codes.
        neighbours_lost: neighbours kept of the documents fitted to, less those kept of the documents given.
        perplexity_here: of the codes of the documents given.
        of_another_index: 1 where the index was written again since.
    """
    look = coded.given or coded.own
    if look is None or len(look.vectors) < FEWEST or not len(look.queries):
        found = 0 if look is None else len(look.vectors)
        return unknown(NAME, f"at least {FEWEST} documents and a query for them, found {found} documents")
    figures = _usage(coded.usage) | _compared(coded, look)
    rules = _rules(figures)
    verdict, causes = judge(figures, rules)
    examples = () if verdict == "ok" else _examples(look)
    fix = Fix() if verdict == "ok" else Fix({}, _advice(coded, figures, causes))
    return Finding(NAME, verdict, _summary(coded, figures, causes), figures, rules, examples, fix)


def _rules(figures: Mapping[str, float]) -> tuple[Threshold, ...]:
    """A larger error is judged by itself where nobody can tell whether neighbours are lost by it."""
    lost = figures.get("neighbours_lost", math.inf)
    return RULES if lost < COSTS else (*RULES, SOME_DRIFT if lost < COSTS_MUCH else DRIFT)


def _usage(usage: Usage | None) -> Figures:
    if usage is None:
        return {}
    most = max(1, min(usage.centroids, usage.codes))
    return {"dead": 1 - usage.used, "perplexity": usage.perplexity, "least_perplexity": usage.least,
            "perplexity_share": usage.perplexity / most, "least_perplexity_share": usage.least / most}  # fmt: skip


def _compared(coded: Coded, look: Look) -> Figures:
    figures = {"documents": float(len(look.vectors)), "of_another_index": float(coded.own is None),
               "error": float(look.errors.mean()), "neighbours_kept": kept(coded, look)}  # fmt: skip
    if not math.isnan(coded.fitted_error):
        figures |= {"fitted_error": coded.fitted_error,
                    "residual_drift": (figures["error"] + NEGLIGIBLE) / (coded.fitted_error + NEGLIGIBLE)}  # fmt: skip
    if coded.given and coded.own and len(coded.own.queries):
        own = kept(coded, coded.own)
        figures |= {"neighbours_kept_own": own, "neighbours_lost": own - figures["neighbours_kept"]}
    if coded.given and coded.given.usage:
        figures["perplexity_here"] = coded.given.usage.perplexity
    return figures


def kept(coded: Coded, look: Look) -> float:
    """Share of the documents nearest to a query by full vectors that are among as many nearest by codes."""
    vectors, codes = look.vectors[:AMONG], look.codes[:AMONG]
    exact, ours = (_nearest(scores) for scores in (look.queries @ vectors.T, coded.score(look.queries, codes)))
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(exact, ours, strict=True)]))


def _nearest(scores: Vectors) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.argsort(-scores, axis=1, kind="stable")[:, :NEIGHBOURS]
    return found


def _summary(coded: Coded, figures: Mapping[str, float], causes: Sequence[str]) -> str:
    parts = list(causes)
    if coded.own is None:
        parts[:1] = ["the index holds other documents than were fitted to"]
    if "dead" in figures and not parts:
        parts.append(f"{1 - figures['dead']:.1%} of the centroids are used, perplexity {figures['perplexity']:.0f}")
    if "residual_drift" not in figures:
        parts.append("drift unknown, as the error at fitting was not kept")
    elif coded.given and not any(cause.startswith("residual") for cause in causes):
        parts.append(f"the error is {figures['residual_drift']:.2f} times that at fitting")
    parts.append(f"{figures['neighbours_kept']:.0%} of the ten nearest are kept{_before(figures)}")
    return f"{coded.codec}, {coded.size_bytes} bytes: {'; '.join(parts)}"


def _before(figures: Mapping[str, float]) -> str:
    own = figures.get("neighbours_kept_own")
    return "" if own is None else f", {own:.0%} of the documents fitted to"


def _examples(look: Look) -> tuple[Example, ...]:
    """The documents that their codes stand for least."""
    worst = map(int, np.argsort(-look.errors, kind="stable")[:MOST_EXAMPLES])
    return tuple({"id": look.ids[row], "document": look.texts[row], "error": float(look.errors[row])} for row in worst)


def _advice(coded: Coded, figures: Mapping[str, float], causes: Sequence[str]) -> str:
    again = f"nearfar compress {coded.place} --codec {coded.codec} --bytes {coded.size_bytes} --overwrite"
    fewer = "take a codec without codebooks, which fewer documents are enough for: --codec binary or rabitq"
    if coded.own is None:
        return f"fit to the documents that are there now: {again}"
    if any(cause.startswith("residual") for cause in causes):
        if figures.get("perplexity_here", 0.0) > ELSEWHERE * figures.get("perplexity", 0.0):
            return f"{coded.documents:,} documents are few for this codec; fit to more of them, or {fewer}"
        return f"index such documents with the others, then fit to all of them: {again}"
    if any("perplexity" in cause or "dead" in cause for cause in causes):
        return f"fit again: {again}; or {fewer}"
    more = f"nearfar compress {coded.place} --codec {coded.codec} --bytes {2 * coded.size_bytes}"
    return f"take more bytes: {more}; or let full vectors rank again: nearfar search --rescore 100"
