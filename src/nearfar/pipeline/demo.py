"""The demo: the running interpreter's own standard library, from docstrings to a better code search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nearfar.data.stdlib import stdlib_dataset
from nearfar.pipeline.compress import Compressed, compress
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.doctor import Diagnosis, diagnose
from nearfar.pipeline.doctor_page import PAGE, keep, write_page
from nearfar.pipeline.fit import fit
from nearfar.pipeline.progress import Reporter, Terminal
from nearfar.pipeline.run import Run
from nearfar.pipeline.session import Mode
from nearfar.search.hits import Hit
from nearfar.search.index import Index

QUESTIONS = (
    "split a string by a regular expression",
    "wait until all processes of a pool have finished",
    "escape characters that have a meaning in HTML",
)
RECIPE = "quick"
SIZES = (8, 16, 32)  # bytes a vector; the last one's codes answer


@dataclass(frozen=True)
class Demo:
    """A finished demo: the run, its codes and what they keep, answers out of them, and what the doctor says."""

    run: Run
    codes: Compressed
    answers: tuple[tuple[str, tuple[Hit, ...]], ...]
    diagnosis: Diagnosis


def demo(
    out: str | Path = "run", *, base: str = "minilm", mode: Mode = "new", reporter: Reporter | None = None
) -> Demo:
    """Fine-tune `base` on the standard library, compress its index, ask three questions, look for the five failures.

    Raises:
        BadInput: `out` exists and the mode is "new".
        MissingExtra: the base model's package is not installed.
    """
    reporter = reporter or Terminal()
    reporter.say("reading the standard library of this Python")
    config = FitConfig.parse({"base": base, "out": str(out), "recipe": RECIPE}, "demo")
    run = fit(stdlib_dataset(), config=config, mode=mode, reporter=reporter)
    codes = compress(run.path, SIZES, reporter=reporter)
    index = Index.open(run.path, size_bytes=SIZES[-1])
    answers = tuple((question, tuple(index.search(question, k=3))) for question in QUESTIONS)
    diagnosis = diagnose(run.path, reporter=reporter)
    keep(diagnosis, run.path)
    write_page(diagnosis, run.path / PAGE)
    return Demo(run, codes, answers, diagnosis)
