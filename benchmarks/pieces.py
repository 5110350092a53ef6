"""A million real texts and their vectors: three lines of installed code each, by a static model."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from data_sets import STDLIB, TESTS, data_set
from measure import say

if TYPE_CHECKING:  # imports numpy, which reads the number of threads when it starts
    from nearfar.compress.codec import Vectors

LINES = 3  # of a text


def encoded(work: Path, data: Path, count: int) -> tuple[list[str], Vectors]:
    """So many texts in a drawn order and their vectors, fewer where one has none, by a token table trained on the
    standard library; the table is kept in `work`.
    """
    import numpy as np

    from nearfar.encoder.load import load_encoder

    found = list(different(count))
    texts = [found[row] for row in np.random.default_rng(0).permutation(len(found))]
    model = load_encoder(table(work, data) / "model", "cpu").model
    vectors = model.encode(texts, batch_size=4096, convert_to_numpy=True, show_progress_bar=False)
    kept = vectors.any(axis=1)
    return [text for text, has in zip(texts, kept.tolist(), strict=True) if has], vectors[kept]


def table(work: Path, data: Path) -> Path:
    """The run of a token table that is trained on the standard library, and kept in `work`."""
    from nearfar.pipeline.fit import fit

    path = work / "large-static"
    if not (path / "run.json").exists():
        say(fit(data_set(STDLIB, data), base="static", out=path, mode="overwrite").verdict)
    return path


def different(count: int) -> Iterator[str]:
    """Three lines of code each, from the installed packages and the standard library, none twice."""
    from nearfar.text.code_units import python_files

    seen: set[str] = set()
    for root in (Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib"))):
        for path, _ in python_files(root, TESTS):
            lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
            lines = [line for line in lines if len(line.split()) > 2]
            for start in range(0, len(lines) - LINES + 1, LINES):
                text = "\n".join(lines[start : start + LINES])
                if text not in seen:
                    seen.add(text)
                    yield text
                    if len(seen) == count:
                        return
