"""What of a module changes a vector, for the fingerprint of an embedding space."""

from __future__ import annotations

import torch
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import Tensor, nn


def tensor_bytes(tensor: Tensor) -> bytes:
    """The numbers as they are in memory."""
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def kind_of(module: nn.Module) -> str:
    """Name of a module's class, or of the one that it is saved or will be opened as."""
    return str(getattr(module, "opens_as", getattr(module, "saved_as", type(module).__name__)))


def settings_of(module: nn.Module) -> str:
    """What decides a module's result besides its weights."""
    if isinstance(module, Transformer):  # its other settings say how to call it, and change with the library's version
        both_ways = " bidirectional" if getattr(module.config, "is_causal", None) is False else ""
        return f"{module.config.model_type}{both_ways}"
    keys = sorted(getattr(module, "config_keys", []))
    return str({key: getattr(module, key) for key in keys if hasattr(module, key)})
