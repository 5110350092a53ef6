"""Training runs that something goes wrong with at a chosen moment, gone on with, and held against one left alone.

A moment is every evaluation, every step, every part of mining negatives anew, and every operation on the file system
below the run's folder: opening a file to write, a write, fsync, making, renaming, exchanging and removing. They are
counted in an uninterrupted run; then, for each, a run is forked in which the fault happens right before the moment (a
write is cut in half). Forking is what makes hundreds of runs cheap: torch is imported, and the data tokenised, once.

    python tests/train/faults.py --quick      # one JSON line for each case and fault
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[1]))  # `tiny_models`, when this file is run

import numpy as np
import torch
from disturbance import WRITES, Disturbance, Moments

from nearfar.core.artifact import MANIFEST
from nearfar.core.errors import NearfarError
from nearfar.data.batches import batch_source
from nearfar.data.read import from_records
from nearfar.encoder.encode import open_store
from nearfar.encoder.load import load_encoder
from nearfar.encoder.precision import Policy, Precision
from nearfar.pipeline.evaluate import Space
from nearfar.pipeline.mine import refresher
from nearfar.train import estimate
from nearfar.train.checkpoint import OPTIMIZER, RANDOM, WEIGHTS, Checkpoints
from nearfar.train.config import TrainConfig
from nearfar.train.data import training_data
from nearfar.train.loop import Callbacks, Trainer
from nearfar.train.row_adamw import RowAdamW
from tiny_models import pairs, save_tiny_bert, tiny_static

SMALL = {"batch_size": 8, "epochs": 2, "evaluations": 3, "patience": 99, "checkpoint_minutes": 0}
SOME, ALL = 3 << 19, 1 << 40  # bytes free: a third of the first holds the graphs of some micro-batches
BOTH = ("query_to_document", "document_to_query")


@dataclass(frozen=True)
class Case:
    """A configuration whose runs are disturbed: 6 steps in two epochs, or in one."""

    base: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    precision: Precision = "fp32"
    free: tuple[int, int] = (0, 0)  # free memory when the run starts, and when it is resumed; a third is for graphs
    pairs: int = 24


# One more configuration is one more line.
CASES = {
    "static": Case("static"),
    "bert": Case("bert"),
    "bert, some graphs kept": Case("bert", free=(SOME, 0)),
    "bert, all graphs kept": Case("bert", {"learn_temperature": True, "directions": BOTH}, free=(ALL, SOME)),
    "bert, bf16": Case("bert", precision="bf16", free=(SOME, ALL)),
    "bert, accumulated": Case("bert", {"accumulate": 2}, pairs=48),
    "bert, mined": Case("bert", {"epochs": 1, "mine": {"every_steps": 3, "sampling": "random"}}, pairs=48),
    "bert, queue": Case("bert", {"queue": {"size": 20, "momentum": 0.9}, "mixed_negatives": {"count": 2}}),
    "minilm": Case("minilm", {"batch_size": 4, "epochs": 1, "evaluations": 1}, pairs=8),
}
# What ends with the same bits because what is kept changes none of them.
SAME_BITS = [("bert", "bert, some graphs kept")]

CODES = {"kill": -signal.SIGKILL, "full": 2, "interrupt": 130, "interrupt twice": 130}
FILES = (WEIGHTS, OPTIMIZER, RANDOM, MANIFEST)  # of a checkpoint


class World:
    """A case made ready in this process; each of its runs is a fork."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.config = TrainConfig(**{**SMALL, **case.settings})
        self.encoder = encoder_of(case.base, folder)
        self.dataset = from_records(pairs(case.pairs))
        source = batch_source(self.dataset)
        self.data = training_data(source, self.encoder, open_store(self.encoder), self.config)
        self.whole = self.told(self.run(folder / "whole"))
        shutil.rmtree(folder / "whole")

    def train(self, disturbance: Disturbance) -> dict[str, Any]:
        """Start or go on with the run in the folder, as `fit` does."""
        checkpoints = Checkpoints(disturbance.folder)
        found = checkpoints.newest() if checkpoints.paths() else None
        with mock.patch.object(estimate, "free_bytes", return_value=self.case.free[found is not None]):
            started_with = found.keep_bytes(processes=1) if found else None
            policy = Policy(precision=self.case.precision, budget_tokens=64)
            policy = estimate.with_kept_memory(policy, self.config, started_with)
        kept = []

        def on_step(_progress: Any, result: Any) -> None:
            disturbance.moment("step")
            kept.append((result.kept, result.micro_batches))

        space = Space(self.encoder, policy, self.data.store, Moments(disturbance))
        mine = refresher(self.dataset, self.data.source, self.config.mine, space)
        callbacks = Callbacks(self.metric(disturbance), on_step, mine)
        trainer = Trainer(self.encoder, self.data, self.config, policy, checkpoints, "identity", callbacks)
        if found:
            trainer.resume()
        trainer.run()
        damaged = [error.where for error in found.damaged] if found else []
        return {"digests": digests(trainer), "moments": disturbance.moments, "kept": kept, "damaged": damaged}

    @staticmethod
    def metric(disturbance: Disturbance) -> Callable[[Any], float]:
        """An evaluation that reads nothing but the weights, and rises and falls."""

        def on_eval(encoder: Any) -> float:
            disturbance.moment("evaluation")
            return float(next(encoder.model.parameters()).double().sum().sin())

        return on_eval

    def run(self, folder: Path, fault: str = "", at: int = 0, kill_after_s: float | None = None) -> int:
        """Exit status of one run in a process of its own; what it ended with is in `outcome`."""
        self.outcome.unlink(missing_ok=True)
        if process := os.fork():
            if kill_after_s is not None:
                time.sleep(kill_after_s)
                os.kill(process, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        code = 70
        try:
            disturbance = Disturbance(folder, fault, at)
            disturbance.watch()
            self.outcome.write_text(json.dumps(self.train(disturbance)))
            code = 0
        except NearfarError as error:
            self.outcome.write_text(json.dumps({"line": str(error)}))
            code = error.exit_code
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            traceback.print_exc()
        os._exit(code)

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.json"

    @property
    def line(self) -> str:
        return json.loads(self.outcome.read_text())["line"]

    def told(self, status: int) -> dict[str, Any]:
        if status:
            raise RuntimeError(f"expected an undisturbed run to end, found exit status {status}")
        return json.loads(self.outcome.read_text())

    def trial(self, fault: str, at: int = 0, kill_after_s: float | None = None) -> str:
        """Disturb one run and go on with it; returns what is wrong with how it ended, nothing if all is well."""
        folder = self.folder / "run"
        status = self.run(folder, fault, at, kill_after_s)
        late = kill_after_s is not None and status == 0  # it had ended before
        problems = [] if late or status == CODES[fault] else [f"exit status {status}"]
        if fault != "kill" and (left := [path.name for path in folder.glob(".*")]) and fault != "interrupt twice":
            problems.append(f"left {left}")
        if (
            fault == "full"
            and not problems
            and not json.loads(self.outcome.read_text())["line"].startswith(f"{folder}")
        ):
            problems.append(self.outcome.read_text())
        ended = self.run(folder)
        if ended or (other := self.other(self.told(ended))):
            problems.append(f"resumed: exit status {ended}" if ended else f"resumed: {other}")
        elif left := [path.name for path in folder.glob(".*")]:
            problems.append(f"left after resuming {left}")
        shutil.rmtree(folder, ignore_errors=True)
        return ", ".join(problems)

    def flipped(self, at: int, name: str, byte: float) -> str:
        """Kill a run, flip a bit in a file of its newest checkpoint, go on; returns what is wrong with how it ended."""
        folder = self.folder / "run"
        self.run(folder, "kill", at)
        path = Checkpoints(folder).paths()[-1] / name
        content = bytearray(before := path.read_bytes())
        content[int(byte * len(content))] ^= 1
        path.write_bytes(content)
        expected = [] if says_the_same(before, bytes(content)) else [str(path)]
        ended = self.run(folder)
        found = self.told(ended) if not ended else {"digests": {}, "damaged": [f"exit status {ended}"]}
        shutil.rmtree(folder, ignore_errors=True)
        named = "" if found["damaged"] == expected else f"named {found['damaged']}"
        return ", ".join(filter(None, [self.other(found), named]))

    def other(self, found: Mapping[str, Any]) -> str:
        return differences(found["digests"], self.whole["digests"])


def encoder_of(base: str, folder: Path) -> Any:
    if base == "static":
        return tiny_static()
    return load_encoder("minilm" if base == "minilm" else str(save_tiny_bert(folder / "bert")))


def load_loops() -> None:
    """Load the compiled loops of both kinds of encoders, which each fork would do for itself, in a second."""
    with tempfile.TemporaryDirectory() as folder:
        encoders = {base: encoder_of(base, Path(folder)) for base in ("static", "bert")}
    for policy in (Policy(), Policy(precision="bf16")):
        for encoder in encoders.values():
            with encoder.training(policy):
                encoder.embed([np.zeros(3, np.int32)], "query", policy).sum().backward()
    RowAdamW(encoders["static"].model.parameters()).step()


def digests(trainer: Trainer) -> dict[str, Any]:
    """Of final weights, the last checkpoint's weights, optimizer and generators; the log of every step as it is."""
    progress = {key: value for key, value in asdict(trainer.progress).items() if key != "seconds"}
    weights = [tensor for module in trainer.modules.values() for tensor in module.state_dict().values()]
    files = trainer.checkpoints.newest().path.glob("*.safetensors")
    contents = {
        "final weights": b"".join(tensor.numpy().tobytes() for tensor in weights),
        **{path.name: path.read_bytes() for path in sorted(files)},
        "generator": torch.get_rng_state().numpy().tobytes(),
    }
    return progress | {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """Which parts differ, and from which step on; nothing when none does."""
    names = [name for name, value in expected.items() if found.get(name) != value]
    if not names:
        return ""
    pairs = zip(found.get("losses", ()), expected["losses"], strict=False)
    first = next((f" from step {number}" for number, (one, other) in enumerate(pairs, 1) if one != other), "")
    return f"other bits{first}: {', '.join(names)}"


def says_the_same(before: bytes, after: bytes) -> bool:
    """Whether both are JSON of one value: the last of seventeen digits may be another and the number the same."""
    try:
        return bool(json.loads(before) == json.loads(after))
    except ValueError:
        return False


def one_save(moments: Sequence[str]) -> list[int]:
    """Moments of the fourth step of six: its evaluation, the best weights, the checkpoint, removing what is too old."""
    steps = [number for number, name in enumerate(moments, 1) if name == "step"]
    middle = max(1, len(steps) // 2)
    return list(range(steps[middle - 1], steps[middle] + 1))


def report(name: str, fault: str, problems: Mapping[str, str]) -> dict[str, Any]:
    bad = {at: problem for at, problem in problems.items() if problem}
    met = sorted({at.split()[-1] for at in problems})
    return {"case": name, "fault": fault, "trials": len(problems), "identical": len(problems) - len(bad), "bad": bad,
            "met": met}  # fmt: skip


def disturbed(name: str, *, every: bool, kills: int, faults: Sequence[str] = tuple(CODES)) -> Iterator[dict[str, Any]]:
    """Results of one case: each fault at the moments of one save, or at `every` moment, and kills at random times."""
    with tempfile.TemporaryDirectory() as place:
        world = World(CASES[name], Path(place))
        moments = world.whole["moments"]
        chosen = range(1, len(moments) + 1) if every else one_save(moments)
        for fault in faults:
            able = [at for at in chosen if fault != "full" or moments[at - 1] in WRITES]
            yield report(name, fault, {f"{at} {moments[at - 1]}": world.trial(fault, at) for at in able})
        start = time.monotonic()
        world.told(world.run(world.folder / "run"))
        shutil.rmtree(world.folder / "run")
        seconds, draw = time.monotonic() - start, random.Random(0)
        times = [draw.uniform(0, seconds) for _ in range(kills)]
        trials = {f"{number} at {at:.3f} s": world.trial("kill", kill_after_s=at) for number, at in enumerate(times)}
        yield report(name, "kill at random", trials)
        steps = [at for at, moment in enumerate(moments, 1) if moment == "step"]
        late = steps[2:] if every else steps[2:][-1:]  # two checkpoints are there
        trials = {f"{at} {file}": world.flipped(at, file, draw.random()) for at in late for file in FILES}
        yield report(name, "flipped bit", trials)


def same_bits(one: str, other: str) -> bool:
    """Whether undisturbed runs of two cases end with the same bits though they keep different graphs."""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as second:
        ends = [World(CASES[name], Path(where)).whole for name, where in ((one, place), (other, second))]
    return ends[0]["digests"] == ends[1]["digests"] and ends[0]["kept"] != ends[1]["kept"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--quick", action="store_true", help="one save of each case and few kills at random")
    options.add_argument("--kills", type=int, default=30)
    options.add_argument("--faults", nargs="+", choices=CODES, default=list(CODES))
    options.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all but minilm when left out")
    chosen = options.parse_args()
    torch.set_num_threads(1)  # a fork has no threads but its own
    load_loops()
    for name in chosen.cases or [name for name in CASES if name != "minilm"]:
        for result in disturbed(name, every=not chosen.quick, kills=chosen.kills, faults=chosen.faults):
            sys.stdout.write(f"{json.dumps(result)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
