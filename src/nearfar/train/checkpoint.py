"""Checkpoints: everything a run needs to go on with the same bits, written atomically, without pickle."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nearfar.core.artifact import read_manifest, read_meta, remove, sweep, writing
from nearfar.core.errors import BadInput
from nearfar.train.sharding import placed_like, whole

KIND = "checkpoint"
KEPT = 2  # the latest, and one before it in case the latest is damaged
WEIGHTS, OPTIMIZER, RANDOM = "weights.safetensors", "optimizer.safetensors", "random.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint found whole, with the best weights it names."""

    path: Path
    step: int
    state: Any
    damaged: tuple[BadInput, ...] = ()  # what is wrong with newer ones, which are passed over

    def keep_bytes(self, processes: int) -> int | None:
        """What a process kept of graphs; None when there were more or fewer `processes`, which share the memory."""
        return int(self.state["keep_bytes"]) if self.state["computed_by"]["processes"] == processes else None

    def restore(self, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
        """Give weights, optimiser and random generators back their state."""
        _restore_weights(self.path, modules)
        _restore_optimizer(optimizer, load_file(self.path / OPTIMIZER))
        _restore_generators(load_file(self.path / RANDOM))


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in a folder, named by the steps done; one process writes them."""

    folder: Path

    def save(
        self, step: int, modules: Mapping[str, nn.Module], optimizer: Mapping[str, Tensor], state: Any, best: int
    ) -> None:
        """Write the checkpoint after `step` steps, then drop all but the last two and the best weights they name.

        Args:
            modules: whose weights to keep, by name.
            optimizer: its state, from `optimizer_tensors`.
            state: JSON-able rest of the run's state.
            best: the step whose weights `save_best` kept last.
        """
        meta = {"step": step, "best": best, "state": state}
        with writing(self._path(step), KIND, meta, overwrite=True) as scratch:
            save_file(_weights(modules), scratch / WEIGHTS)
            save_file(dict(optimizer), scratch / OPTIMIZER)
            save_file(_generators(), scratch / RANDOM)
        for old in self.paths()[:-KEPT]:
            remove(old)
        self._drop_best()
        sweep(self.folder)

    def save_best(self, step: int, modules: Mapping[str, nn.Module]) -> None:
        """Keep the weights after `step` steps as the best so far."""
        with writing(self._best(step), KIND, {"step": step}, overwrite=True) as scratch:
            save_file(_weights(modules), scratch / WEIGHTS)

    def load_best(self, step: int, modules: Mapping[str, nn.Module]) -> None:
        """Restore the weights that `save_best` kept for `step`.

        Raises:
            BadInput: they are damaged.
        """
        path = self._best(step)
        try:
            read_manifest(path, KIND)
        except BadInput as error:
            raise BadInput.at(error.where, expected="the best weights as they were written", found=error.found,
                              do="go on with --resume") from None  # fmt: skip
        _restore_weights(path, modules)

    def newest(self) -> Checkpoint:
        """The newest checkpoint that is whole, and whose best weights are.

        Raises:
            BadInput: there is none.
        """
        damaged: list[BadInput] = []
        for path in reversed(self.paths()):
            try:
                meta = read_manifest(path, KIND)
                read_manifest(self._best(meta["best"]), KIND)
            except BadInput as error:
                damaged.append(error)
            else:
                return Checkpoint(path, meta["step"], meta["state"], tuple(damaged))
        if damaged:
            found = " and ".join(dict.fromkeys(f"{error.found} in {error.where}" for error in damaged))
            raise BadInput.at(self.folder, expected="a checkpoint as it was written", found=found,
                              do="start the run again with --overwrite")  # fmt: skip
        raise BadInput.at(self.folder, expected="a checkpoint to go on from", found="none",
                          do="start the run without --resume")  # fmt: skip

    def check(self, identity: str) -> Checkpoint:
        """The newest whole checkpoint; refuse to go on from it with anything else than it was made with.

        Raises:
            BadInput: there is none, all are damaged, or its state holds another `identity`.
        """
        checkpoint = self.newest()
        if checkpoint.state["identity"] != identity:
            raise BadInput.at(self.folder, expected="the same data, base and settings",
                              found="a checkpoint of others", do="give the same, or start a new run")  # fmt: skip
        return checkpoint

    def drop_after(self, step: int) -> None:
        """Drop the damaged checkpoints that are newer than the one gone on from, and what a crash left."""
        for path in self.paths():
            if path > self._path(step):
                remove(path)
        sweep(self.folder)

    def paths(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(self.folder.glob("step-*"))

    def clear(self) -> None:
        """Remove all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}"

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}"

    def _drop_best(self) -> None:
        named = set()
        for path in self.paths():
            try:
                named.add(self._best(read_meta(path, KIND)["best"]))
            except BadInput:  # a damaged checkpoint needs no best weights
                continue
        for path in self.folder.glob("best-*"):
            if path not in named:
                remove(path)


def _weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": tensor.detach().cpu().contiguous().clone()  # clone: tied weights must not share memory
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def _restore_weights(path: Path, modules: Mapping[str, nn.Module]) -> None:
    weights = load_file(path / WEIGHTS)
    for name, module in modules.items():
        prefix = f"{name}."
        own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        module.load_state_dict(own)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All of the optimizer's state, whole; where it is spread over processes, all must ask for it."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": whole(torch.as_tensor(value)).detach().cpu().contiguous()
        for index, values in state.items()
        for name, value in values.items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, tensor in tensors.items():
        index, name = key.split(".")
        parameter = parameters[int(index)]
        own = placed_like(tensor, parameter) if tensor.shape == parameter.shape else tensor
        state.setdefault(int(index), {})[name] = own
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _generators() -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _restore_generators(states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
