"""Found documents and learned orders as text for people."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nearfar.pipeline.learn_to_rank import LearnedRanking, Score
    from nearfar.pipeline.training_pairs import NearestPair
    from nearfar.search.explain import Explanation
    from nearfar.search.hits import Hit, Span

LINES_SHOWN = 8  # of a found document
WIDTH = 100  # characters of a text on one line


def hit(found: Hit) -> str:
    """One found document with what is known of it, what made its score, and the beginning of its text."""
    shown = found.text.splitlines()
    more = ["…"] if len(shown) > LINES_SHOWN else []
    filled = {name: value for name, value in found.metadata.items() if value not in ("", [])}
    known = [" ".join(f"{name}={value}" for name, value in filled.items())] if filled else []
    why = [] if found.explanation is None else [_explained(found.explanation)]
    lines = [*known, *why, *shown[:LINES_SHOWN], *more]
    return "\n".join([f"{found.score:.3f}  {found.id}{_place(found.passage)}", *(f"       {line}" for line in lines)])


def _place(span: Span | None) -> str:
    if span is None:
        return ""
    return f", characters {span.start:,} to {span.end:,}" + "".join(f" > {heading}" for heading in span.heading)


def _explained(why: Explanation) -> str:
    dense = "" if why.dense is None else f"vectors {why.dense:.3f} ({why.dense_share:.0%} of the score), "
    matched = ", ".join(f"{term} {part:.2f}" for term, part in why.matched.items())
    own = why.trained_on
    trained = "" if own is None else f"; trained on: {_short(own.query)} ({own.similarity:.3f} to the question)"
    return f"[{dense}words {why.lexical:.2f}{': ' if matched else ''}{matched}{trained}]"


def nearest_pair(found: NearestPair) -> str:
    """The training pair whose query is nearest to the question."""
    return (f"nearest training query, {found.similarity:.3f}: {_short(found.query)}, "
            f"answered by {found.id}: {_short(found.text)}")  # fmt: skip


def learned_order(found: LearnedRanking) -> str:
    """What came out of learning to rank."""
    kept = "kept" if found.kept else "not kept: the hybrid search stays"
    return (f"learned order {_score(found.learned)}, tuned hybrid {_score(found.hybrid)} (nDCG@10, cross-validated)\n"
            f"{found.verdict}; {kept}")  # fmt: skip


def _score(found: Score) -> str:
    return f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def _short(text: str) -> str:
    return shorten(text, WIDTH, placeholder=" …")
