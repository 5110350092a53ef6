"""One stage of training: from a session to the best weights on its dev set."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from nearfar.diagnose.monitor import every, probe_size
from nearfar.encoder.precision import Policy
from nearfar.pipeline.config import MAIN_METRIC
from nearfar.pipeline.dev import DevSet, Standing
from nearfar.pipeline.faults import diverged_told
from nearfar.pipeline.mine import refresher
from nearfar.pipeline.plan import reach_of
from nearfar.pipeline.progress import Advance
from nearfar.pipeline.session import Session
from nearfar.pipeline.supply import supplied
from nearfar.pipeline.watch import Watch, watcher
from nearfar.train.codes import Learnt
from nearfar.train.data import training_data
from nearfar.train.estimate import estimate, with_kept_memory
from nearfar.train.loop import Callbacks, Trainer, total_steps
from nearfar.train.memory import memory_told, need_of
from nearfar.train.mining import MineNegatives
from nearfar.train.progress import Progress
from nearfar.train.tracker import log_progress


@dataclass(frozen=True)
class Trained:
    """How training went, and the codec that learnt with the encoder, if one did."""

    progress: Progress
    learnt: Learnt | None


def train(session: Session, dev: DevSet) -> Trained:
    """Train the session's encoder, from its checkpoint where there is one, and leave the best weights in it.

    Raises:
        Interrupted: Ctrl-C; a checkpoint is written first.
        NearfarError: training diverged, or the memory is too small.
    """
    started = time.monotonic()
    source = supplied(session)
    config, space, checkpoint, workers = session.config.train, session.space, session.checkpoint, session.workers
    policy = with_kept_memory(
        space.policy, config, checkpoint.keep_bytes(workers.size) if checkpoint else None, workers
    )
    store = space.store
    reach = reach_of(config, session.config.prompts, space.encoder)
    need = need_of(space.encoder, reach, policy, len(session.source), workers.size)
    data = training_data(source, space.encoder, store, config)
    if workers.is_first and not (config.shard and workers.size > 1):  # the estimate makes a step with the whole model
        space.reporter.say(f"training: {estimate(space.encoder, data, config, policy, workers.size).line()}")
    space.reporter.say(f"dev: {len(dev.queries)} queries against {len(dev.documents)} documents")
    with space.reporter.bar("training", total_steps(config, data)) as advance:
        callbacks = Callbacks(
            on_eval=lambda encoder: dev.metric(encoder, policy, store, _standing(trainer)),
            on_step=lambda progress, _: _tell(session, advance, progress),
            on_mine=_refresher(session, policy) if config.mine.every_steps else None,
            on_watch=_watcher(session, dev, policy),
            watch_every=every(config.batch_size, probe_size(config.batch_size)),
        )
        trainer = Trainer(space.encoder, data, config, policy, session.checkpoints, session.identity, callbacks,
                          workers=workers, codec=session.codec)  # fmt: skip
        if checkpoint:
            trainer.resume()
            space.reporter.say(f"resumed after step {trainer.progress.step} of {trainer.steps}")
            if trainer.moved:
                space.reporter.say("other numbers of processes or threads than before: the same but for rounding")
            advance(trainer.progress.step, "")
        set_up = time.monotonic() - started
        with diverged_told(session), memory_told(need, policy):
            progress = trainer.run()
    learnt = trainer.through.learnt() if trainer.through else None
    return Trained(replace(progress, seconds=progress.seconds + set_up), learnt)


def _standing(trainer: Trainer) -> Standing | None:
    """What codes of documents stand for by now, where the training goes through codes."""
    return trainer.through.learnt().standing if trainer.through else None


def _watcher(session: Session, dev: DevSet, policy: Policy) -> Watch | None:
    """What looks for failures; nobody where weights are spread over processes, which would gather them each time."""
    config, workers = session.config.train, session.workers
    if config.monitor == "off" or (config.shard and workers.size > 1):
        return None
    return watcher(dev, replace(session.space, policy=policy), config) if workers.is_first else (lambda *_: [])


def _refresher(session: Session, policy: Policy) -> MineNegatives:
    space = replace(session.space, policy=policy)
    return refresher(session.dataset, session.source, session.config.train.mine, space)


def _tell(session: Session, advance: Advance, progress: Progress) -> None:
    loss, say = progress.losses[-1], session.space.reporter.say
    seen = f", {progress.alarms[-1][1]}?" if progress.alarms else ""
    advance(1, f"loss {loss:.3f}{seen}")
    if session.tracker:
        log_progress(session.tracker, progress, MAIN_METRIC)
    if progress.dev[-1][0] == progress.step:
        say(f"step {progress.step}: loss {loss:.3f}, dev {MAIN_METRIC} {progress.dev[-1][1]:.3f}, "
            f"{progress.seconds:.0f} s")  # fmt: skip
