"""A run folder: RUN/{model/, index/, data/, run.json, report.html}."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.core.errors import BadInput
from nearfar.core.plain_file import plain_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from nearfar.search.index import Index

RECORD = "run.json"
PACKAGES = ("nearfar", "torch", "sentence-transformers", "transformers", "tokenizers", "numpy")


@dataclass(frozen=True)
class Run:
    """A finished run and its record."""

    path: Path
    record: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run folder.

        Raises:
            BadInput: there is no finished run.
        """
        path = Path(path)
        try:
            record = plain_json(path / RECORD)
            if not isinstance(record, dict):
                raise ValueError("no JSON object")
            return cls(path, record)
        except FileNotFoundError:
            raise BadInput.at(path, expected="a run folder", found=f"no {RECORD}",
                              do="check the path, or finish the run with --resume") from None  # fmt: skip
        except (OSError, ValueError) as error:
            raise BadInput.at(path / RECORD, expected="a run record", found=str(error), do="run again") from None

    def _repr_html_(self) -> str:
        """In a notebook."""
        from nearfar.report.notebook import run_html

        data = self.record["data"]
        queries = ", ".join(f"{count:,} {name}" for name, count in data["queries"].items())
        facts = [f"{data['documents']:,} documents", f"queries: {queries}",
                 f"trained in {self.record['train_seconds']:.0f} s", str(self.path / "report.html")]  # fmt: skip
        return run_html(str(self.path), self.verdict, self.metrics, facts)

    @property
    def verdict(self) -> str:
        """One sentence on whether the model is better than its base."""
        return str(self.record["verdict"])

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Metrics on the test set of `bm25`, `base` and `model`."""
        metrics: dict[str, dict[str, float]] = self.record["metrics"]
        return metrics

    @cached_property
    def model(self) -> SentenceTransformer:
        """The trained model."""
        from nearfar.encoder.load import load_encoder

        return load_encoder(self.path / "model").model

    @cached_property
    def index(self) -> Index:
        """The index of all documents."""
        from nearfar.search.index import Index

        return Index.open(self.path)


def versions() -> dict[str, str]:
    """Versions that decide what a run computes."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
