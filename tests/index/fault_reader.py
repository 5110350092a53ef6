"""Opens an index again and again while it is changed; says when that begins, and in a JSON line how it went."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from nearfar.index.generation import Generation, open_index
from nearfar.index.unreadable import Unreadable

PAUSE_S = 0.01  # leaves the writer some time
TOGETHER = 10  # documents, d0 …, that every change gives one edition


def read(path: Path, stop: Path) -> dict[str, int]:
    """Open and search until there is a file `stop`; `gone` counts the indexes that must be opened again."""
    opens, gone, editions, generations = 0, 0, {edition(open_index(path))}, set()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    while not stop.exists():
        time.sleep(PAUSE_S)
        opened = open_index(path)
        opens += 1
        generations.add((opened.number, opened.table.version))
        try:
            editions.add(edition(opened))
        except Unreadable:
            gone += 1
    return {"opens": opens, "gone": gone, "editions": len(editions), "generations": len(generations)}


def edition(opened: Generation) -> str:
    """That of the documents that change together; AssertionError where an index is no whole generation."""
    query = np.ones((1, opened.table.dimension), np.float32)
    rows, scores = opened.search(query, 10, opened.fingerprint)
    assert (np.diff(scores) <= 0).all()
    texts = dict(zip(opened.ids, opened.texts, strict=True))
    assert len(texts) == len(opened) == opened.lexicon.size
    assert opened.ids[rows[0, 0]] in texts
    (found,) = {texts[key].rpartition(" ")[2] for i in range(TOGETHER) if (key := f"d{i}") in texts}
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read(Path(sys.argv[1]), Path(sys.argv[2]))))
