r"""In-context examples: training pairs whose queries are nearest to a query, written before it.

After RARe (Tejaswi et al., 2024) and LG-ANNA. A query becomes

    <prompt>Query: <query 1>\nDocument: <document 1>\n … Query: <the query>

with the examples nearest by BM25, the nearest first. It is never shown itself, nor a document that it is known to be
answered by, so that a training query sees no more than a new one does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest
from nearfar.core.plain_file import plain_json, plain_text
from nearfar.text.bm25 import BM25

FOLDER = "examples"  # of a model folder
SETTINGS, PAIRS = "settings.json", "pairs.jsonl"
MOST_BYTES = 4 << 30  # of the pairs
BEFORE_QUERY, BEFORE_DOCUMENT, AFTER = "Query: ", "Document: ", "\n"
SEAM = 1  # tokens by which parts may be longer together than alone

Pair = tuple[str, tuple[str, ...]]  # a query, and what answers it; the first is shown
CountTokens = Callable[[Sequence[str]], list[int]]


@dataclass(frozen=True)
class Examples:
    """The pairs to choose from, and how many are shown."""

    pairs: tuple[Pair, ...]
    count: int
    words: int  # kept of each shown query and document

    def digest(self) -> str:
        """Identity of what queries are preceded by."""
        texts = chain.from_iterable((query, str(len(answers)), *answers) for query, answers in self.pairs)
        return digest([str(self.count), str(self.words), *texts])

    def chosen(self, queries: Sequence[str]) -> list[list[int]]:
        """The nearest pairs of each query, best first, at most `count`."""
        barred = [self._barred(query) for query in queries]
        rows, _ = self._engine.search(queries, self.count + max(map(len, barred), default=0))
        return [[row for row in best if row >= 0 and row not in out][: self.count]
                for best, out in zip(rows.tolist(), barred, strict=True)]  # fmt: skip

    def prefixes(self, queries: Sequence[str], prompts: Sequence[str], count: CountTokens, room: int) -> list[str]:
        """What goes before each query, its prompt included: so many examples that all of it fits `room` tokens."""
        chosen = self.chosen(queries)
        used = sorted({row for rows in chosen for row in rows})
        shown = {row: self._shown(row) for row in used}
        sizes = dict(zip(used, count([shown[row] for row in used]), strict=True))
        left = count([f"{prompt}{BEFORE_QUERY}{query}" for prompt, query in zip(prompts, queries, strict=True)])
        found = []
        for prompt, rows, own in zip(prompts, chosen, left, strict=True):
            kept, size = [], own
            for row in rows:
                size += sizes[row] + SEAM
                if size > room:
                    break
                kept.append(shown[row])
            found.append("".join([prompt, *kept, BEFORE_QUERY]))
        return found

    def save(self, folder: Path) -> None:
        """Write settings and pairs."""
        folder.mkdir()
        (folder / SETTINGS).write_text(json.dumps({"count": self.count, "words": self.words}) + "\n", encoding="utf-8")
        with (folder / PAIRS).open("w", encoding="utf-8", newline="\n") as file:
            for query, answers in self.pairs:
                file.write(json.dumps({"query": query, "positive": answers}, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Examples:
        """Read what `save` wrote.

        Raises:
            BadInput: it is damaged.
        """
        try:
            settings = plain_json(folder / SETTINGS)
            rows = [json.loads(line) for line in plain_text(folder / PAIRS, MOST_BYTES).split("\n") if line]
            pairs = tuple((str(row["query"]), tuple(map(str, row["positive"]))) for row in rows)
            return cls(pairs, int(settings["count"]), int(settings["words"]))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise BadInput.at(folder, expected="the model's examples as they were written", found=str(error),
                              do="copy the model folder again") from None  # fmt: skip

    @cached_property
    def _engine(self) -> BM25:
        return BM25([query for query, _ in self.pairs])

    @cached_property
    def _rows_of(self) -> dict[str, list[int]]:
        rows = defaultdict(list)
        for row, (query, _) in enumerate(self.pairs):
            rows[_same(query)].append(row)
        return rows

    @cached_property
    def _showing(self) -> dict[str, list[int]]:
        """The pairs that show each document."""
        rows = defaultdict(list)
        for row, (_, answers) in enumerate(self.pairs):
            rows[answers[0]].append(row)
        return rows

    def _barred(self, query: str) -> set[int]:
        own = self._rows_of.get(_same(query), [])
        answers = chain.from_iterable(self.pairs[row][1] for row in own)
        return {*own, *chain.from_iterable(self._showing.get(answer, ()) for answer in answers)}

    def _shown(self, row: int) -> str:
        query, answers = self.pairs[row]
        parts = ((BEFORE_QUERY, query), (BEFORE_DOCUMENT, answers[0]))
        return "".join(f"{name}{self._beginning(text)}{AFTER}" for name, text in parts)

    def _beginning(self, text: str) -> str:
        return " ".join(text.split()[: self.words])


def _same(text: str) -> str:
    """What queries have in common that differ by case and white space alone."""
    return " ".join(text.casefold().split())
