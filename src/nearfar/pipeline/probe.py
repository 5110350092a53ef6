"""Probes: training runs on a share of the pairs, measured on the dev queries and kept by what they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from nearfar.core.config import merged
from nearfar.core.disk import disk_told
from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest
from nearfar.data.batches import BATCH_LABELS, Ids
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy
from nearfar.pipeline.dev import DevSet, dev_set
from nearfar.pipeline.mine import refresher
from nearfar.pipeline.plan import reach_of
from nearfar.pipeline.run import versions
from nearfar.pipeline.session import UNSEEN, Session
from nearfar.train.checkpoint import Checkpoints
from nearfar.train.config import TrainConfig
from nearfar.train.data import TrainingData, sampler_of, training_data
from nearfar.train.diverged import Diverged
from nearfar.train.estimate import estimate, with_kept_memory
from nearfar.train.loop import Callbacks, Trainer
from nearfar.train.memory import check_fits, need_of
from nearfar.train.progress import Progress

RULES = 1  # of making a probe: what other rules made is not reused

Settings = Mapping[str, Any]  # fields of `train`
Scores = NDArray[np.float64]  # (Q,) nDCG@10 of each dev query


@dataclass(frozen=True)
class Probe:
    """Settings tried on a share of the training pairs."""

    settings: Settings
    share: float
    scores: tuple[float, ...]  # nDCG@10 of each dev query, at the best evaluation; empty when there are none
    seconds: float = 0.0
    steps: int = 0
    problem: str = ""  # why there are no scores

    @property
    def mean(self) -> float:
        """nDCG@10; below any other when there is none."""
        return float(np.mean(self.scores)) if self.scores else -1.0


@dataclass
class ProbeStore:
    """Finished probes of one study, a line each in a file; in memory when there is none."""

    path: Path | None
    known: dict[str, Probe] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path and self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            values = json.loads(line)
            key, scores = values.pop("key"), tuple(values.pop("scores"))
            self.known[key] = Probe(scores=scores, **values)
        except (ValueError, TypeError, KeyError):  # a line that a crash cut short: the probe is made again
            return

    def add(self, key: str, probe: Probe) -> None:
        """Keep a probe.

        Raises:
            DiskTrouble: the disk cannot take it.
        """
        self.known[key] = probe
        if self.path is None:
            return
        with disk_told(self.path, self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab+") as file:
                file.seek(max(0, file.tell() - 1))
                broken = file.read(1) not in {b"", b"\n"}
                file.write(b"\n" * broken + json.dumps({"key": key, **asdict(probe)}).encode() + b"\n")


class Unsaved(Checkpoints):
    """Keeps nothing: a probe is short, and its scores are all that is wanted of it."""

    def save(self, *_: Any, **__: Any) -> None:
        """Drop the checkpoint."""

    def save_best(self, step: int, modules: Mapping[str, nn.Module]) -> None:
        """Drop the weights."""

    def load_best(self, step: int, modules: Mapping[str, nn.Module]) -> None:
        """Leave the weights as they are."""


@dataclass
class Prober:
    """Makes the probes of one study: what does not depend on the settings tried is done once."""

    session: Session
    tuned: tuple[str, ...]  # fields of `train` that probes set

    @cached_property
    def study(self) -> str:
        """Digest of all that probes depend on but for what they set."""
        session, policy = self.session, self.session.space.policy
        same = session.config.train.model_dump_json(exclude=UNSEEN | {*self.tuned})
        return digest([str(RULES), json.dumps(versions(), sort_keys=True), session.dataset.digest(),
                       session.space.encoder.fingerprint(), same, session.config.eval.model_dump_json(),
                       session.config.data.select.model_dump_json(),
                       policy.device.split(":")[0], policy.precision, str(policy.budget_tokens)])  # fmt: skip

    @cached_property
    def dev(self) -> DevSet:
        return dev_set(self.session.dataset, self.session.config.eval, self.session.config.train.seed)

    @cached_property
    def base(self) -> Scores:
        """Scores of the base model."""
        return self._scores(self.session.space.encoder)

    @cached_property
    def policy(self) -> Policy:
        return with_kept_memory(self.session.space.policy, self.session.config.train)

    @cached_property
    def whole(self) -> TrainingData:
        """All training pairs, tokenised."""
        space = self.session.space
        return training_data(self.session.source, space.encoder, space.store, self.session.config.train)

    @cached_property
    def start(self) -> dict[str, Tensor]:
        """Weights that every probe starts from."""
        return {name: tensor.detach().clone() for name, tensor in self.session.space.encoder.model.state_dict().items()}

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """The share from which each pair is in a probe, (n,): in proportion of all sources and tasks, at least one."""
        source = self.session.source
        kinds = np.stack([source.labels[name][1] for name in BATCH_LABELS])
        _, kind, sizes = np.unique(kinds, axis=1, return_inverse=True, return_counts=True)
        kind = kind.ravel()
        drawn = np.random.default_rng(self.session.config.train.seed).permutation(len(source))
        order = drawn[np.argsort(kind[drawn], kind="stable")]
        first = np.cumsum(sizes) - sizes
        places = np.empty(len(source))
        places[order] = (np.arange(len(source)) - first[kind[order]]) / sizes[kind[order]]
        return places

    def key(self, settings: Settings, share: float) -> str:
        """Digest of everything a probe depends on."""
        return digest([self.study, json.dumps(dict(settings), sort_keys=True), repr(share)])

    def shortest(self, share: float) -> float:
        """Seconds that a probe of the settings as they are should take on this share of the pairs."""
        config, encoder = self.session.config.train, self.session.space.encoder
        return estimate(encoder, self.whole, config, self.policy).seconds * share

    def config(self, settings: Settings, share: float) -> TrainConfig:
        """Settings of a probe; one of a part of the pairs is evaluated at its end alone."""
        short = {"evaluations": 1} if share < 1 else {}
        given = self.session.config.train.model_dump(exclude_unset=True)
        return TrainConfig.parse(merged(given, {**settings, **short}), "tune")

    def pairs(self, share: float) -> Ids:
        """The pairs of a probe; those of a smaller share are among them."""
        return np.flatnonzero(self.places < share)

    def run(self, settings: Settings, share: float) -> Probe:
        """Train and measure; settings that the data or the memory cannot serve give a probe with a problem.

        Raises:
            Interrupted: Ctrl-C.
        """
        try:
            config = self.config(settings, share)
            return self._trained(settings, share, config)
        except BadInput as error:
            return Probe(settings, share, (), problem=str(error))

    def _trained(self, settings: Settings, share: float, config: TrainConfig) -> Probe:
        session, found = self.session, [self.base]
        encoder, source = session.space.encoder, session.source.only(self.pairs(share))
        reach = reach_of(config, session.config.prompts, encoder)
        check_fits(need_of(encoder, reach, self.policy, len(source), 1), self.policy.device, 1)
        data = replace(self.whole, source=source, sampler=sampler_of(source, config))

        def on_eval(trained: Encoder) -> float:
            found.append(self._scores(trained))
            return float(found[-1].mean())

        callbacks = Callbacks(on_eval)
        if config.mine.every_steps:
            space = replace(session.space, policy=self.policy)
            callbacks = Callbacks(on_eval, on_mine=refresher(session.dataset, source, config.mine, space))
        base = float(self.base.mean())
        encoder.model.load_state_dict(self.start)
        trainer = Trainer(encoder, data, config, self.policy, Unsaved(Path()), self.study, callbacks,
                          Progress(dev=((0, base),), best=base))  # fmt: skip
        try:
            done = trainer.run()
        except Diverged as error:
            return Probe(settings, share, (0.0,) * len(self.base), problem=f"diverged: {error}")
        finally:
            encoder.model.load_state_dict(self.start)
        best = max(found, key=lambda scores: float(scores.mean()))
        return Probe(settings, share, tuple(best.tolist()), steps=done.step)

    def _scores(self, encoder: Encoder) -> Scores:
        return self.dev.scores(encoder, self.policy, self.session.space.store)
