"""`compress`: a run's document vectors as codes of a few bytes, and what they keep of its quality."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nearfar.compress.codec import Sample
from nearfar.compress.health import CodebookMonitor, Health, distortions, health
from nearfar.compress.learning import Learning
from nearfar.compress.registry import check_labels, check_size, fit, kind_of
from nearfar.core.artifact import read_meta
from nearfar.core.errors import BadInput, Interrupted
from nearfar.core.fingerprint import digest
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item
from nearfar.index.codes import KIND, CodedIndex, codes_path, open_codes, write_codes
from nearfar.pipeline.coding import Bench, Measured, measured
from nearfar.pipeline.place import check_made
from nearfar.pipeline.progress import Reporter, Silent
from nearfar.report.kept import MEASURED, keep

CODEC = "learned_residual"
SIZES = (32,)  # bytes


@dataclass(frozen=True)
class Coded:
    """Codes of one size, and what they answer."""

    codec: str
    size_bytes: int
    documents: int
    path: str
    measured: Measured
    fit_seconds: float
    codec_bytes: int
    health: Health | None  # of codebooks; None of codes without

    @property
    def index_bytes(self) -> int:
        """Bytes of all codes."""
        return self.documents * self.size_bytes

    def record(self) -> dict[str, Any]:
        """As JSON."""
        seconds = round(self.fit_seconds, 3)
        return {"codec": self.codec, "bytes": self.size_bytes, **self.measured.record(), "documents": self.documents,
                "index_bytes": self.index_bytes, "codec_bytes": self.codec_bytes, "fit_seconds": seconds,
                "path": self.path, "codebooks": None if self.health is None else asdict(self.health)}  # fmt: skip

    def kept(self) -> dict[str, Any]:
        """What stays true of it wherever it lies."""
        return {name: value for name, value in self.record().items() if name != "path"}


@dataclass(frozen=True)
class Compressed:
    """Codes of every size asked for, and the full vectors they stand for."""

    codec: str
    dimension: int
    documents: int
    queries: int  # of the test set
    full: dict[str, float]  # metrics
    points: tuple[Coded, ...]

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"codec": self.codec, "points": [point.record() for point in self.points], "queries": self.queries,
                "full": {"bytes": 4 * self.dimension, **self.full}}  # fmt: skip


def compress(  # noqa: PLR0913 (each is an option of the verb)
    run: str | Path,
    sizes: Sequence[int] = SIZES,
    codec: str = CODEC,
    *,
    data: Dataset | str | Path | Sequence[Item] | None = None,
    unlabelled: bool = False,
    config: Learning | Mapping[str, Any] | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Compressed:
    """Write codes of a run's documents, a folder RUN/codes/BYTES for each size, and measure them on its test set.

    A size that is there already, of the same codec, index and training queries, is not made again. When one size
    fails, those before it stay.

    Args:
        sizes: bytes a vector.
        codec: a name in the registry of codecs.
        data: queries to fit to and to measure with, as `fit` takes them; left out, the run's own.
        unlabelled: fit a learned codec to passages of the documents, in the place of the training queries.
        config: how a learned codec learns, as a Learning or its keys: {"contrast": 0.3}.

    Raises:
        BadInput: run, index or data cannot be read, the codec cannot have such a size or needs more documents or
            labels, or the settings do not suit it.
        Interrupted: Ctrl-C was pressed.
    """
    kind = kind_of(codec)
    check_labels(codec, found=not unlabelled)
    learning = config if isinstance(config, Learning) else Learning.parse(config or {}, "options")
    _check_learning(learning, codec, min(sizes, default=1), unlabelled=unlabelled)
    bench = Bench.open(run, data, reporter or Silent())
    job = _Job(bench, Path(run), codec, kind.learned, unlabelled and kind.learned, learning, overwrite)
    for size in sizes:
        job.check(size)
    asked, made = bench.asked("test"), []
    try:
        for size in dict.fromkeys(sizes):
            path, seconds = job.made(size)
            coded = open_codes(path)
            usage = health(coded.codes, kind.bits) if kind.codebooks else None
            found = measured(coded, asked, bench.index.vectors)
            made.append(Coded(codec, size, len(coded.codes), str(path), found, seconds, coded.codec_bytes, usage))
            full = {"bytes": 4 * bench.index.vectors.shape[1], **asked.full.metrics}
            keep(path / MEASURED, {**made[-1].kept(), "queries": len(asked.vectors), "full": full})
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the sizes that were finished are kept: the same command goes on") from None
    documents, dimension = bench.index.vectors.shape
    return Compressed(codec, dimension, documents, len(asked.vectors), dict(asked.full.metrics), tuple(made))


def _check_learning(learning: Learning, codec: str, size_bytes: int, *, unlabelled: bool) -> None:
    """Refuse settings that a codec of so many bytes has no use for."""
    kind = kind_of(codec)
    if unheeded := sorted(learning.model_dump(exclude_defaults=True).keys() - kind.settings):
        heeded = ", ".join(sorted(kind.settings)) or "none"
        raise BadInput.at(f"compress.{unheeded[0]}", expected=f"settings that the codec '{codec}' has ({heeded})",
                          found=f"'{unheeded[0]}'", do="leave it out, or choose learned_residual")  # fmt: skip
    if learning.contrast and unlabelled:
        raise BadInput.at("compress.contrast", expected="0 with --unlabelled", found=f"{learning.contrast:g}",
                          do="leave one of them out: passages have no known answers")  # fmt: skip
    if learning.frozen and learning.frozen >= size_bytes:
        raise BadInput.at("compress.frozen", expected=f"fewer than the {size_bytes} codebooks of as many bytes",
                          found=str(learning.frozen), do="leave some to learn")  # fmt: skip


@dataclass(frozen=True)
class _Job:
    """One call: a codec, fitted to a run, of several sizes."""

    bench: Bench
    run: Path
    codec: str
    learned: bool
    unlabelled: bool
    learning: Learning
    overwrite: bool

    @cached_property
    def sample(self) -> Sample:
        return self.bench.sample(learned=self.learned, unlabelled=self.unlabelled, learning=self.learning)

    def path(self, size: int) -> Path:
        return codes_path(self.run / "index", size)

    def key(self, size: int) -> str:
        """Digest of all that the codes depend on."""
        queries = "documents" if self.unlabelled else self.bench.dataset.digest() if self.learned else ""
        return digest([self.codec, str(size), self.bench.identity, queries, self.learning.model_dump_json()])

    def check(self, size: int) -> None:
        """Refuse, before any work, what cannot be made, or would take the place of other codes."""
        documents, dimension = self.bench.index.vectors.shape
        check_size(self.codec, size, dimension=dimension, documents=documents)
        path = self.path(size)
        check_made(path, KIND, "codes", overwrite=self.overwrite)
        if path.exists() and not self.overwrite and (meta := read_meta(path, KIND)).get("key") != self.key(size):
            raise BadInput.at(path, expected=f"none, or the codes of {self.codec} for this index and these queries",
                              found=f"other codes, of {meta['codec']}", do="replace them with --overwrite")  # fmt: skip

    def made(self, size: int) -> tuple[Path, float]:
        """Where the codes of this size are, and the seconds that fitting took."""
        path, say = self.path(size), self.bench.reporter.say
        if path.exists() and not self.overwrite:
            say(f"{self.codec}, {size} bytes: made already")
            return path, float(read_meta(path, KIND)["fit_seconds"])
        say(f"{self.codec}, {size} bytes: fitting to {self._fitted_to()}")
        start = time.perf_counter()
        monitor = CodebookMonitor()
        fitted = fit(self.codec, replace(self.sample, watch=monitor.on_round), size)
        seconds = time.perf_counter() - start
        for alarm in monitor.alarms.values():
            say(f"{self.codec}, {size} bytes, {alarm}")
        index = self.bench.index
        codes = fitted.encode(index.vectors)
        coded = CodedIndex(self.codec, fitted, codes, index.fingerprint, self.bench.identity)
        facts = {"key": self.key(size), "fit_seconds": round(seconds, 3), "unlabelled": self.unlabelled,
                 "learning": self.learning.model_dump(exclude_defaults=True),
                 "alarms": list(monitor.alarms.values()),
                 "error": float(distortions(fitted, index.vectors, codes).mean())}  # fmt: skip
        write_codes(path, coded, facts, overwrite=self.overwrite)
        return path, seconds

    def _fitted_to(self) -> str:
        queries = "passages of them" if self.unlabelled else "queries"
        asked = f" and {len(self.sample.queries):,} {queries}" if self.learned else ""
        return f"{len(self.sample.vectors):,} documents{asked}"
