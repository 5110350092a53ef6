"""The doctor in the loop: what the monitor is shown every so many steps, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nearfar.diagnose.evidence import Vectors
from nearfar.diagnose.monitor import Alarm, of_dev, of_losses, of_vectors
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.pipeline.dev import DevSet
from nearfar.pipeline.evaluate import Space
from nearfar.train.progress import Progress

Watch = Callable[[Encoder, Progress], list[tuple[int, str, str]]]


def watcher(dev: DevSet, space: Space, documents: int) -> Watch:
    """What the loop calls: alarms that are new, each said once; collapse only when two probes in a row show it.

    Args:
        documents: of the dev set, drawn, whose vectors are looked at.
    """
    rows = np.random.default_rng(0).permutation(len(dev.documents))[:documents]
    texts = [dev.documents[row] for row in rows]

    def vectors(encoder: Encoder) -> Vectors:
        return encode(encoder, texts, "document", space.policy, store=space.store)

    before = vectors(space.encoder)  # also of a run that goes on: its checkpoint is read later
    suspected: list[int] = []  # steps of the probes that showed collapse, without a break

    def watch(encoder: Encoder, progress: Progress) -> list[tuple[int, str, str]]:
        known = {failure for _, failure, _ in progress.alarms}
        seen = [of_losses(progress.losses), of_dev(progress.dev)]
        collapsed = of_vectors(progress.step, vectors(encoder), before)
        suspected.append(progress.step) if collapsed else suspected.clear()
        seen.append(collapsed if len(suspected) > 1 else None)
        new: dict[str, Alarm] = {alarm.failure: alarm for alarm in seen if alarm and alarm.failure not in known}
        for alarm in new.values():
            space.reporter.say(f"warning: {alarm.failure} after step {alarm.step}: {alarm.reason}")
        return [(alarm.step, alarm.failure, alarm.reason) for alarm in new.values()]

    return watch
