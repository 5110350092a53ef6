"""Marks of people on results, kept as the data set that `nearfar fit` and `nearfar eval` read."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest
from nearfar.core.swap import put, sync
from nearfar.index.table import DOCUMENT, ID, TEXT, Table
from nearfar.search.index import Index

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels/train.tsv"  # of a BEIR folder
LOCK = ".lock"
HEADER = "query-id\tcorpus-id\tscore\n"
GRADES = {True: "1", False: "0"}  # relevant, and a judged negative

Stamp = tuple[int, int]  # of a file: its size, and when it was written
Marks = Mapping[tuple[str, str], bool]  # (id of the query, id of the document) → good


@dataclass
class Judgments:
    """A folder of marks: every document of the index, the queries that were marked, and the marks as one split.

    All marks are of the split "train", of which `fit` and `eval` keep the same share to measure with. Each file is
    the old or the new one at any time, and no mark names a query or a document that is not there yet.
    """

    folder: Path
    corpus: tuple[Stamp, frozenset[str]] = ((0, 0), frozenset())  # ids of the documents, and of which file

    @classmethod
    def open(cls, folder: Path) -> Judgments:
        """Use a folder that is new, empty, or of earlier marks.

        Raises:
            BadInput: it holds another data set, or cannot be written.
        """
        with disk_told(folder, folder):
            (folder / QRELS).parent.mkdir(parents=True, exist_ok=True)
        opened = cls(folder)
        others = [path for path in (folder / QRELS).parent.iterdir() if path.name != Path(QRELS).name]
        if others or any(key != _query_id(text) for key, text in opened.queries().items()):
            raise BadInput.at(folder, expected="a folder for judgments", found="another data set", do="name a new one")
        return opened

    def of(self, query: str) -> dict[str, bool]:
        """The marks of a query by the ids of the documents."""
        key = _query_id(query)
        return {document: good for (asked, document), good in self.marks().items() if asked == key}

    def mark(self, index: Index, query: str, id_: str, *, good: bool | None) -> int:
        """Mark a document of the index for a query, in the place of an earlier mark; None takes that away.

        Returns:
            How many marks there are.

        Raises:
            UnknownDocument: the index has no such document.
            BadInput: the query or the document cannot stand in a data set, or the disk cannot take it.
        """
        text = index.document(id_).text
        _check(query, id_, text)
        with disk_told(self.folder, self.folder), self._alone():
            marks, key = {**self.marks()}, _query_id(query)
            marks.pop((key, id_), None)
            if good is not None:
                marks[key, id_] = good
                self._hold(index.generation.table, id_, text)
                self._write(QUERIES, (_line(*pair) for pair in {**self.queries(), key: query}.items()))
            self._write(QRELS, [HEADER, *(f"{asked}\t{document}\t{GRADES[grade]}\n"
                                          for (asked, document), grade in marks.items())])  # fmt: skip
        return len(marks)

    def queries(self) -> dict[str, str]:
        """The queries by their ids."""
        lines = map(json.loads, self._lines(QUERIES))
        return {entry["_id"]: entry["text"] for entry in lines}

    def marks(self) -> Marks:
        """All marks."""
        rows = (line.rstrip("\n").split("\t") for line in self._lines(QRELS) if line != HEADER)
        return {(query, document): score == GRADES[True] for query, document, score in rows}

    def _hold(self, table: Table, id_: str, text: str) -> None:
        """Have the document in the corpus, which is all of the index when it is first written."""
        path = self.folder / CORPUS
        if not path.exists():
            self._write(CORPUS, (_line(*pair) for pair in _documents(table) if not _fault(*pair)))
        stamp = path.stat().st_size, path.stat().st_mtime_ns
        if self.corpus[0] != stamp:
            self.corpus = stamp, frozenset(json.loads(line)["_id"] for line in self._lines(CORPUS))
        if id_ not in self.corpus[1]:  # the index has grown since
            self._write(CORPUS, [*self._lines(CORPUS), _line(id_, text)])

    def _lines(self, name: str) -> Iterator[str]:
        try:
            with (self.folder / name).open(encoding="utf-8", newline="\n") as file:
                yield from file
        except FileNotFoundError:
            return

    def _write(self, name: str, lines: Iterable[str]) -> None:
        path = self.folder / name
        scratch = path.parent / f".{path.name}.writing-{os.getpid()}"
        try:
            with scratch.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(lines)
            sync(scratch)
            put(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _documents(table: Table) -> Iterator[tuple[str, str]]:
    """Ids and texts of all documents; passages of one are put together again."""
    if not table.has_passages:
        yield from zip(table.values(ID), table.values(TEXT), strict=True)
        return
    whole: dict[str, list[str]] = {}
    for id_, text in zip(table.values(DOCUMENT), table.values(TEXT), strict=True):
        whole.setdefault(id_, []).append(text)
    yield from ((id_, "\n\n".join(texts)) for id_, texts in whole.items())


def _query_id(text: str) -> str:
    return f"q{digest([text])}"


def _line(id_: str, text: str) -> str:
    return json.dumps({"_id": id_, "title": "", "text": text}, ensure_ascii=False) + "\n"


def _fault(id_: str, text: str) -> str:
    """What keeps a text with its id out of a data set; empty where nothing does."""
    if not text.strip() or "\0" in text:
        return "a text without words, or with a NUL"
    return "an id with a tab or a line break" if any(sign in id_ for sign in "\t\r\n\0") else ""


def _check(query: str, id_: str, text: str) -> None:
    for where, fault in (("query", _fault("", query)), ("id", _fault(id_, text))):
        if fault:
            raise BadInput.at(where, expected="what a data set can hold", found=fault, do="mark another")
