"""Plain lists of texts, to encode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nearfar.core.errors import BadInput
from nearfar.data.bad_row import BadRow
from nearfar.data.beir import read_corpus
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Texts
from nearfar.data.intake import Intake
from nearfar.data.lines import lines
from nearfar.data.records import checked_text


def read_texts(path: Path) -> Texts:
    """Read a corpus.jsonl (_id, title, text), or a text file with one text a line, whose ids are the line numbers.

    Raises:
        BadInput: missing, empty, not UTF-8, or a row without text.
    """
    intake = Intake(DataConfig())
    if path.name.removesuffix(".gz").endswith((".jsonl", ".json")):
        return read_corpus(path, intake)
    rows = dict(_numbered(path, intake))
    if not rows:
        raise BadInput.at(path, expected="one text a line", found="an empty file", do="check that it was written whole")
    return Texts(list(rows), list(rows.values()))


def _numbered(path: Path, intake: Intake) -> Iterator[tuple[str, str]]:
    for number, line in lines(path, intake):
        try:
            yield str(number), checked_text(line, f"line {number}")
        except BadRow as bad:
            intake.refuse(path, number, bad)
