"""Test queries in the words of a language model, asked for before anything is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nearfar.data.llm import Rewriter
from nearfar.diagnose.evidence import Evidence
from nearfar.diagnose.shortcut import FEWEST
from nearfar.pipeline.progress import Reporter

MOST_REWORDED = 100  # queries: each is a call of a model


def with_paraphrases(evidence: Evidence, rewriter: Rewriter, reporter: Reporter) -> Evidence:
    """The evidence with a sample of its test queries in the model's words, in the place of those by rules.

    Raises:
        BadInput: nobody answers at the address, or not as a language model does.
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(evidence.test))[:MOST_REWORDED])
    queries = [evidence.test.queries[row] for row in chosen]
    found = _reworded(queries, rewriter, reporter)
    few = "" if len(found) >= FEWEST else f", too few to judge by: needs at least {FEWEST}"
    name = rewriter.model or "the language model"
    reporter.say(f"paraphrases: {len(found)} of {len(queries)} test queries in other words by {name} at "
                 f"{rewriter.place}{few}")  # fmt: skip
    return replace(evidence, paraphrase=found.get, paraphrased_by=name)


def _reworded(queries: Sequence[str], rewriter: Rewriter, reporter: Reporter) -> dict[str, str]:
    found = {}
    with reporter.bar("paraphrases", len(queries)) as advance:
        for query, text in rewriter.reword_all(queries):
            advance(1, "")
            if text is not None:
                found[query] = text
    return found
