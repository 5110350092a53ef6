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

from nearfar.core.artifact import read_manifest, writing
from nearfar.core.errors import BadInput
from nearfar.train.sharding import placed_like, whole

KIND = "checkpoint"
BEST = "best"
KEPT = 2  # the latest, and one before it in case the latest is damaged


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in a folder, named by the steps done."""

    folder: Path

    def save(self, step: int, modules: Mapping[str, nn.Module], optimizer: Mapping[str, Tensor], state: Any) -> None:
        """Write the checkpoint after `step` steps, then drop all but the last two.

        Args:
            modules: whose weights to keep, by name.
            optimizer: its state, from `optimizer_tensors`.
            state: JSON-able rest of the run's state.
        """
        path = self.folder / f"step-{step:08d}"
        with writing(path, KIND, {"step": step, "state": state}, overwrite=True) as scratch:
            save_file(_weights(modules), scratch / "weights.safetensors")
            save_file(dict(optimizer), scratch / "optimizer.safetensors")
        for old in self.paths()[:-KEPT]:
            shutil.rmtree(old)

    def save_best(self, step: int, modules: Mapping[str, nn.Module]) -> None:
        """Keep the weights after `step` steps as the best so far."""
        with writing(self.folder / f"{BEST}-{step:08d}", KIND, {"step": step}, overwrite=True) as scratch:
            save_file(_weights(modules), scratch / "weights.safetensors")

    def load_best(self, step: int, modules: Mapping[str, nn.Module]) -> None:
        """Restore the weights that `save_best` kept for `step`."""
        path = self.folder / f"{BEST}-{step:08d}"
        read_manifest(path, KIND)
        _restore_weights(path, modules)

    def drop_best_except(self, step: int) -> None:
        """Drop the best weights of other steps; call it once a checkpoint that names `step` is written."""
        for path in self.folder.glob(f"{BEST}-*"):
            if path.name != f"{BEST}-{step:08d}":
                shutil.rmtree(path)

    def load_latest(self, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> tuple[int, Any]:
        """Restore the newest checkpoint, and return its step and state.

        Raises:
            BadInput: there is none, or it is damaged.
        """
        path, meta = self._newest()
        _restore_weights(path, modules)
        _restore_optimizer(optimizer, load_file(path / "optimizer.safetensors"))
        return int(meta["step"]), meta["state"]

    def check(self, identity: str) -> None:
        """Refuse to go on from the newest checkpoint with anything else than it was made with.

        Raises:
            BadInput: there is none, it is damaged, or its state holds another `identity`.
        """
        if self._newest()[1]["state"]["identity"] != identity:
            raise BadInput.at(self.folder, expected="the same data, base and settings",
                              found="a checkpoint of others", do="give the same, or start a new run")  # fmt: skip

    def _newest(self) -> tuple[Path, dict[str, Any]]:
        paths = self.paths()
        if not paths:
            raise BadInput.at(self.folder, expected="a checkpoint to go on from", found="none",
                              do="start the run without --resume")  # fmt: skip
        return paths[-1], read_manifest(paths[-1], KIND)

    def paths(self) -> list[Path]:
        """Complete checkpoints, oldest first."""
        return sorted(self.folder.glob("step-*"))

    def clear(self) -> None:
        """Remove all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _weights(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": tensor.detach().cpu().contiguous().clone()  # clone: tied weights must not share memory
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }


def _restore_weights(path: Path, modules: Mapping[str, nn.Module]) -> None:
    weights = load_file(path / "weights.safetensors")
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
