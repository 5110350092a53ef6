"""The layers of a transformer, whatever its family: which there are, and which are trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile

from sentence_transformers.sentence_transformer.modules import Router
from torch import nn


def layers_in(transformer: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and modules of the layers, from the bottom: the longest of the outermost lists of modules."""
    name, found = max(_lists(transformer, ""), key=lambda one: len(one[1]), default=("", nn.ModuleList()))
    return [(f"{name}.{number}", layer) for number, layer in enumerate(found)]


def _lists(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.ModuleList]]:
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList):
            yield prefix + name, child
        else:
            yield from _lists(child, f"{prefix}{name}.")


def freeze(transformer: nn.Module, count: int) -> None:
    """Train neither the first `count` layers nor what is below them (Telly; Shi et al., 2023).

    What is below: all that is registered before the layers, and tables of embeddings wherever they are.
    """
    tables = [module for module in transformer.modules() if isinstance(module, nn.Embedding)]
    layers = [layer for _, layer in layers_in(transformer)[:count]]
    for parameter in _below(transformer) + [p for module in tables + layers for p in module.parameters()]:
        parameter.requires_grad = False


class Resting(nn.Sequential):
    """Modules that stay as they are: never in training mode."""

    def train(self, mode: bool = True) -> Resting:  # noqa: ARG002, FBT001, FBT002  (torch's signature)
        return super().train(False)  # noqa: FBT003


def rest(router: Router, role: str) -> None:
    """Train nothing of a role's route, and let it compute as in evaluation."""
    modules = router.sub_modules[role]
    modules.requires_grad_(False)  # noqa: FBT003
    router.sub_modules[role] = Resting(*modules.children())


def wake(router: Router) -> None:
    """Undo `rest`, but for the gradients."""
    for role, modules in router.sub_modules.items():
        if isinstance(modules, Resting):
            router.sub_modules[role] = nn.Sequential(*modules)


def first_trained(layers: Iterable[nn.Module]) -> int:
    """Number of layers below the first one with a weight that is trained; of all, when none has."""
    flags = [is_trained([layer]) for layer in layers]
    return [*flags, True].index(True)


def is_trained(modules: Iterable[nn.Module]) -> bool:
    """Whether any of their weights is trained."""
    return any(parameter.requires_grad for module in modules for parameter in module.parameters())


def untouched_layers(transformer: nn.Module) -> int:
    """Number of layers, from the bottom, that a backward pass does not come to."""
    trained = any(parameter.requires_grad for parameter in _below(transformer))
    return 0 if trained else first_trained(layer for _, layer in layers_in(transformer))


def _below(transformer: nn.Module) -> list[nn.Parameter]:
    first = next((f"{name}." for name, _ in layers_in(transformer)), "")
    return [p for _, p in takewhile(lambda one: not one[0].startswith(first), transformer.named_parameters())]
