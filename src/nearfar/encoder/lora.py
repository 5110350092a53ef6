"""Low-rank adaptation of linear modules through peft: put in, trained, merged into the weights, kept beside them.

LoRA (Hu et al., 2022): W + s B A with s = alpha / rank, where A (rank, inputs) and B (outputs, rank) alone are trained.
CorDA (Yang et al., 2024) takes A and B from the singular vectors of W times the covariance of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import Field, ValidationInfo, field_validator
from safetensors.torch import save_file
from torch import Tensor, nn

from nearfar.core.config import Config, nearest
from nearfar.core.errors import BadInput, MissingExtra
from nearfar.encoder.freezing import layers_in

ADAPTER = "default"  # peft's name of the only adapter there is
ALPHA = 2.0  # of a rank, where none is given
AUTO = "auto"


class LoraConfig(Config):
    rank: int = Field(default=0, ge=0)
    """Rank of the matrices that are trained instead of the weights (4 to 64); 0: LoRA is off, all weights are."""
    alpha: float | None = Field(default=None, gt=0)
    """Strength: alpha / rank scales what they add to a weight; left empty: twice the rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before them; above 0, a CPU trains without its fast layers."""
    targets: tuple[str, ...] | Literal["auto"] = "auto"
    """Names of the linear modules that get them, such as [query, value]; auto: all of the transformer's layers."""
    init: Literal["default", "corda"] = "default"
    """Start from nothing added (default), or from what training texts use most of the weights (corda)."""
    keep: bool = False
    """Write the adapter beside the model it is merged into too, as model/adapter, which peft loads onto the base."""

    @field_validator("targets")
    @classmethod
    def _some(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if not value:
            raise ValueError("names of modules, or auto")
        return value

    @field_validator("keep")
    @classmethod
    def _of_the_base(cls, value: bool, others: ValidationInfo) -> bool:  # noqa: FBT001
        if value and others.data.get("init") == "corda":
            raise ValueError("false with init: corda, which changes the base's weights too")
        return value


@dataclass(frozen=True)
class Factors:
    """The two matrices of one module."""

    down: Tensor  # A (rank, inputs)
    up: Tensor  # B (outputs, rank)
    scale: float  # s

    @property
    def product(self) -> Tensor:
        """What they add to the weight, s B A."""
        with torch.autocast(self.up.device.type, enabled=False):  # fp32, as what is merged
            return self.scale * (self.up @ self.down)


def is_adapted(module: nn.Module) -> bool:
    """Whether a module has an adapter of peft's."""
    return hasattr(module, "lora_A")


def factors(module: nn.Module) -> Factors | None:
    """The two matrices of a linear module, None where there are none."""
    if not is_adapted(module):
        return None
    parts = cast(Any, module)
    return Factors(parts.lora_A[ADAPTER].weight, parts.lora_B[ADAPTER].weight, float(parts.scaling[ADAPTER]))


def linear_of(module: nn.Module) -> nn.Linear:
    """The linear module itself, without an adapter."""
    return cast(nn.Linear, module.base_layer if is_adapted(module) else module)


def whole_weight(module: nn.Module) -> Tensor:
    """W, or W + s B A."""
    added, weight = factors(module), linear_of(module).weight
    return weight if added is None else weight + added.product


def is_linear(module: nn.Module) -> bool:
    """Whether a module computes x whole_weightᵀ + bias and nothing else."""
    if not is_adapted(module):
        return type(module) is nn.Linear
    parts = cast(Any, module)
    plain = list(parts.lora_A) == [ADAPTER] and not (parts.lora_variant or parts.merged or parts.disable_adapters)
    exact = not parts.lora_bias[ADAPTER] and isinstance(parts.lora_dropout[ADAPTER], nn.Identity)
    return plain and exact and type(parts.base_layer) is nn.Linear


def insert(transformer: nn.Module, config: LoraConfig, frozen: int, calibrate: Callable[[], None], seed: int) -> None:
    """Give the linear modules of the layers from `frozen` on an adapter; nothing else of the transformer is trained.

    Args:
        calibrate: embeds texts one at a time, for CorDA to see what goes into the modules.

    Raises:
        BadInput: no module has one of the names in `config.targets`, or there are adapters already.
        MissingExtra: peft is not installed.
    """
    peft = _peft()
    if any(map(is_adapted, transformer.modules())):
        raise BadInput.at("train.lora", expected="a base without adapters", found="one that has some",
                          do="merge them into it first, or leave train.lora out")  # fmt: skip
    corda = config.init == "corda"
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha or ALPHA * config.rank,
        lora_dropout=config.dropout,
        target_modules=_targets(transformer, config.targets, frozen),
        init_lora_weights="corda" if corda else True,
        corda_config=peft.tuners.lora.config.CordaConfig(corda_method="ipm") if corda else None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if corda:
            peft.tuners.lora.corda.preprocess_corda(transformer, settings, run_model=calibrate)
        peft.inject_adapter_in_model(settings, transformer, ADAPTER)


def merge(transformer: nn.Module) -> None:
    """Add what each adapter adds to its weight, W ← W + s B A, and take the adapters away."""
    for parent in list(transformer.modules()):
        for name, child in list(parent.named_children()):
            if is_adapted(child):
                added = factors(child)
                if added is not None and added.up.any():  # adding nothing would still make 0 of −0
                    with torch.no_grad():
                        linear_of(child).weight.copy_(whole_weight(child))
                setattr(parent, name, linear_of(child))
    if hasattr(transformer, "peft_config"):
        del transformer.peft_config


def adapter_writer(transformer: nn.Module, base: str) -> Callable[[Path], None]:
    """What writes the adapter as it is now as a folder for peft's `PeftModel.from_pretrained`."""
    settings = cast(Mapping[str, Any], transformer.peft_config)[ADAPTER]
    settings.base_model_name_or_path = base
    tensors = {f"base_model.model.{name}": tensor for name, tensor in _tensors(transformer)}

    def write(folder: Path) -> None:
        folder.mkdir()
        save_file(tensors, folder / "adapter_model.safetensors")
        settings.save_pretrained(str(folder))

    return write


def _tensors(transformer: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, module in transformer.named_modules():
        if found := factors(module):
            yield f"{name}.lora_A.weight", found.down.detach().cpu().clone()
            yield f"{name}.lora_B.weight", found.up.detach().cpu().clone()


def _targets(transformer: nn.Module, wanted: Sequence[str], frozen: int) -> list[str]:
    """Full names of the modules; peft takes names that end in a given one."""
    below = [f"{name}." for name, _ in layers_in(transformer)[:frozen]]
    within = [f"{name}." for name, _ in layers_in(transformer)]
    named = [name for name, module in transformer.named_modules() if isinstance(module, nn.Linear)]
    if wanted == AUTO:
        named = [name for name in named if name.startswith(tuple(within))]
    else:
        last = sorted({name.rpartition(".")[2] for name in named})
        for target in wanted:
            if not any(f".{name}".endswith(f".{target}") for name in named):
                raise BadInput.at("train.lora.targets", expected="names of linear modules of the model",
                                  found=f"'{target}'", do=nearest(target, last))  # fmt: skip
        named = [name for name in named if any(f".{name}".endswith(f".{target}") for target in wanted)]
    return [name for name in named if not name.startswith(tuple(below))]


def _peft() -> Any:
    try:
        import peft  # noqa: PLC0415 -- optional extra
        import peft.tuners.lora.config  # noqa: PLC0415
        import peft.tuners.lora.corda  # noqa: PLC0415
    except ImportError:
        raise MissingExtra.of("train.lora", "lora") from None
    return peft
