"""`tune`: which temperature, learning rate, batch size, negatives and loss, by short probes on the dev queries."""

from __future__ import annotations

import copy
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from sentence_transformers import SentenceTransformer

from nearfar.core.artifact import check_place
from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput, Interrupted
from nearfar.data.dataset import Dataset
from nearfar.data.read import Item
from nearfar.pipeline.config import MAIN_METRIC, FitConfig
from nearfar.pipeline.halving import SHARES, Axis, Candidate, Search, Spent
from nearfar.pipeline.probe import Probe, Prober, ProbeStore
from nearfar.pipeline.progress import Reporter, Terminal
from nearfar.pipeline.session import Session, open_session, settings_of
from nearfar.pipeline.tuned import MARK, Tuned, shown_share
from nearfar.pipeline.yaml_text import set_values
from nearfar.train.distributed import Workers

BUDGET = "20m"
UNITS = {"s": 1, "m": 60, "h": 3600}
PLACE = Path(".nearfar") / "probes"  # beside the file that is written

OCTAVES = range(-4, 5)  # of the learning rate, around the one given
# Losses that rank by themselves and want nothing but pairs; another one that is chosen stays.
RANKING = ("info_nce", "focal", "hardness")
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2)  # finer steps cost probes and gain less than chance
SMALLEST_BATCH, FEWEST_BATCHES = 16, 4  # an epoch of fewer batches is hardly an epoch
HARD_NEGATIVES = (0, 1, 2, 3, 5, 8)


def tune(
    data: Dataset | str | Path | Iterable[Item] | None = None,
    *,
    base: str | Path | SentenceTransformer | None = None,
    budget: str | float = BUDGET,
    out: str | Path | None = None,
    config: FitConfig | Mapping[str, Any] | None = None,
    text: str = "",
    reporter: Reporter | None = None,
) -> Tuned:
    """Choose temperature, learning rate, batch size, hard negatives and loss by short trainings, measured on dev.

    Nothing is measured on test queries. Finished probes are kept beside `out`, known by data, base, settings, seed and
    versions: a second call with a larger budget goes on, and repeats none.

    Args:
        data: as `fit` takes it.
        base: as `fit` takes it.
        budget: what the probes may take together, those of earlier calls included: seconds, or "90s", "20m", "2h".
        out: YAML file to write; none, and nothing is kept.
        config: the settings to start from, which stay where nothing else is better.
        text: YAML that these settings were read from; the file written is this text with the chosen values.

    Raises:
        BadInput: data, base, settings or budget cannot be used, or `out` is a file that `tune` has not written.
        Interrupted: Ctrl-C; the same call goes on.
    """
    limit = seconds_of(budget)
    path = None if out is None else Path(out)
    _check_out(path)
    reporter = reporter or Terminal()
    settings = settings_of(config, data, base, None)
    own = copy.deepcopy(base) if isinstance(base, SentenceTransformer) else base  # probes change it
    session = open_session(settings, data, own, reporter, Workers())
    session.introduce()
    session = session.instructed()
    axes = axes_of(session)
    prober = Prober(session, tuple(axis.name for axis in axes))
    store = ProbeStore(path.parent / PLACE / f"{prober.study}.jsonl" if path else None)
    study = _Study(prober, axes, limit, reporter, store)
    with _interruptible(study):
        search = study.searched()
    tuned = Tuned(search, settings, limit, study.seconds, study.fresh, path)
    if path:
        unnamed = {"base"} if isinstance(base, SentenceTransformer) else set()  # it has no name to write
        values = tuned.config.model_dump(mode="json", exclude_unset=True, exclude=unnamed)
        _write(path, tuned.header() + set_values(text, values, tuned.notes(), MARK))
    return tuned


def seconds_of(budget: str | float) -> float:
    """Seconds of "90s", "20m", "2h" or a number.

    Raises:
        BadInput: it is none of these, or nothing above 0.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(budget).strip())
    seconds = float(match[1]) * UNITS.get(match[2], 1) if match else 0.0
    if not 0 < seconds < math.inf:
        raise BadInput.at("budget", expected="a time such as 90s, 20m or 2h", found=f"'{budget}'", do="write one")
    return seconds


def axes_of(session: Session) -> tuple[Axis, ...]:
    """The settings that are tuned, and the values each can have with this data; those given are among them.

    They are tried in this order. The batch size is last, because its best value depends most on the number of pairs.
    """
    train, source = session.config.train, session.source
    rate = train.peak_learning_rate(static=session.space.encoder.is_static)
    largest = max(len(source) // FEWEST_BATCHES, SMALLEST_BATCH)
    batches = [train.batch_size * 2**octave if octave > 0 else train.batch_size // 2**-octave for octave in OCTAVES]
    negatives = int(source.negatives.lengths.max(initial=0))
    axes = (
        _around("temperature", TEMPERATURES, train.temperature),
        _around("learning_rate", [float(f"{rate * 2.0**octave:.2g}") for octave in OCTAVES if octave], rate),
        Axis("loss", RANKING if train.loss in RANKING else (), ordered=False),
        _around("hard_negatives", [count for count in HARD_NEGATIVES if count <= negatives], train.hard_negatives),
        _around("batch_size", [size for size in batches if SMALLEST_BATCH <= size <= largest], train.batch_size),
    )
    return tuple(axis for axis in axes if len(axis.values) > 1 and (negatives or axis.name != "hard_negatives"))


def _around(name: str, values: Sequence[Any], given: Any) -> Axis:
    return Axis(name, tuple(sorted({*values, given})))


@dataclass
class _Study:
    """One call of `tune`: probes within a budget, of which earlier calls may have made some."""

    prober: Prober
    axes: tuple[Axis, ...]
    limit: float
    reporter: Reporter
    store: ProbeStore
    seconds: float = 0.0  # of all probes, made now or earlier
    fresh: int = 0  # made now

    def searched(self) -> Search:
        """Search until the budget is spent."""
        given = tuple(self._given(axis) for axis in self.axes)
        self.search = Search(self.axes, given, self._measured)
        self._check_budget(given)
        with self.reporter.bar("tuning, seconds", math.ceil(self.limit)) as self.advance:
            self.search.run()
        return self.search

    def _given(self, axis: Axis) -> Any:
        train, static = self.prober.session.config.train, self.prober.session.space.encoder.is_static
        rate = axis.name == "learning_rate"
        return train.peak_learning_rate(static=static) if rate else getattr(train, axis.name)

    def _check_budget(self, given: Candidate) -> None:
        if self.prober.key(self._settings(given), SHARES[0]) in self.store.known:
            return
        shortest = self.prober.shortest(SHARES[0])  # also pays for what is set up once
        started = time.perf_counter()
        _ = self.prober.base
        needed = 2 * (shortest + time.perf_counter() - started)
        if self.limit < needed:
            raise BadInput.at("budget", expected=f"at least {needed:.2g}s, for two of the shortest probes to compare",
                              found=f"{self.limit:g}s", do="give more, or a smaller base")  # fmt: skip

    def _measured(self, candidate: Candidate, share: float, part: float) -> Probe:
        if self.seconds + self._expected(candidate, share) > part * self.limit:
            raise Spent
        settings = self._settings(candidate)
        key = self.prober.key(settings, share)
        probe = self.store.known.get(key)
        if probe is None:
            probe = self._made(settings, share, key, needed=candidate == self.search.given)
        before, self.seconds = self.seconds, self.seconds + probe.seconds
        self.advance(int(self.seconds) - int(before), f"{MAIN_METRIC} {probe.mean:.3f}")
        return probe

    def _made(self, settings: Mapping[str, Any], share: float, key: str, *, needed: bool) -> Probe:
        started = time.perf_counter()
        probe = self.prober.run(settings, share)
        probe = replace(probe, seconds=round(time.perf_counter() - started, 3))
        if needed and not probe.scores:
            raise BadInput(probe.problem)
        if probe.scores:
            self.store.add(key, probe)
        self.fresh += 1
        found = probe.problem or f"dev {MAIN_METRIC} {probe.mean:.3f}, {probe.seconds:.1f} s"
        told = ", ".join(f"{name} {value}" for name, value in settings.items())
        self.reporter.say(f"{shown_share(share)}: {told}: {found}")
        return probe

    def _expected(self, candidate: Candidate, share: float) -> float:
        """Seconds a probe should take: from the same settings on fewer pairs, or from others on as many."""
        rungs = self.search.found
        here = rungs[share]
        for lower in reversed(SHARES[: SHARES.index(share)]):
            if candidate in rungs[lower]:
                both = [here[one].seconds / rungs[lower][one].seconds for one in here if one in rungs[lower]]
                return rungs[lower][candidate].seconds * (median(both) if both else share / lower)
        return median(probe.seconds for probe in here.values()) if here else 0.0

    def _settings(self, candidate: Candidate) -> dict[str, Any]:
        return {axis.name: value for axis, value in zip(self.axes, candidate, strict=True)}


@contextmanager
def _interruptible(study: _Study) -> Iterator[None]:
    """Say after how many probes Ctrl-C came."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        kept = "are kept; the same call goes on" if study.store.path else "are lost: no file to write was named"
        raise Interrupted(f"interrupted; the {len(study.store.known)} probes that are finished {kept}") from None


def _check_out(path: Path | None) -> None:
    """Refuse a place that cannot be written, and a file that is the user's own."""
    if path is None:
        return
    check_place(path)
    if path.is_dir() or (path.exists() and f"# {MARK}" not in path.read_text(encoding="utf-8", errors="replace")):
        found = "a folder" if path.is_dir() else "a file of your own"
        raise BadInput.at(path, expected="a new file, or one that 'nearfar tune' wrote", found=found,
                          do="choose another --out")  # fmt: skip


def _write(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.writing")
    with disk_told(path, path, scratch):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
