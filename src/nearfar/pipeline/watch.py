"""The doctor in the loop: what the monitor is shown every so many steps, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nearfar.diagnose.collapse import chance_of
from nearfar.diagnose.evidence import Vectors
from nearfar.diagnose.monitor import Alarm, of_dev, of_losses, of_vectors, probe_size
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.pipeline.dev import DevSet
from nearfar.pipeline.evaluate import Space
from nearfar.train.config import TrainConfig
from nearfar.train.progress import Progress

Watch = Callable[[Encoder, Progress], list[tuple[int, str, str]]]


def watcher(dev: DevSet, space: Space, config: TrainConfig) -> Watch:
    """What the loop calls in the first process: alarms that are new, each said once."""
    documents, chance = probe_size(config.batch_size), chance_of(config.model_dump(mode="json"))
    rows = np.random.default_rng(0).permutation(len(dev.documents))[:documents]
    texts = [dev.documents[row] for row in rows]

    def vectors(encoder: Encoder) -> Vectors:
        return encode(encoder, texts, "document", space.policy, store=space.store)

    before = vectors(space.encoder)  # also of a run that goes on: its checkpoint is read later

    def watch(encoder: Encoder, progress: Progress) -> list[tuple[int, str, str]]:
        known = {failure for _, failure, _ in progress.alarms}
        seen = [of_vectors(progress.step, vectors(encoder), before), of_dev(progress.dev, len(dev.queries)),
                None if chance is None else of_losses(progress.losses, chance)]  # fmt: skip
        new: dict[str, Alarm] = {}
        for alarm in seen:
            if alarm and alarm.failure not in known:
                new.setdefault(alarm.failure, alarm)
        for alarm in new.values():
            space.reporter.say(f"warning: {alarm.failure} after step {alarm.step}: {alarm.reason}")
        return [(alarm.step, alarm.failure, alarm.reason) for alarm in new.values()]

    return watch
