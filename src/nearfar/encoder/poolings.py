"""Every pooling by its name: how the vectors of a text's tokens become one. Importing this needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from nearfar.core.errors import BadInput

if TYPE_CHECKING:
    from sentence_transformers.base.modules.module import Module
    from torch import nn

    from nearfar.encoder.config import EncoderConfig

Attention = Literal["causal", "bidirectional"]


@dataclass(frozen=True)
class Host:
    """The transformer that a pooling is made for."""

    width: int  # H, length of a token's vector
    layers: int  # without the token embeddings, which are layer 0
    attention: Attention
    opened: bool = True  # whether a special token comes before a text
    closed: bool = True  # and after it


Make = Callable[[Host, "EncoderConfig"], "list[Module]"]


def _no_doubt(_host: Host) -> str:
    return ""


@dataclass(frozen=True)
class Pooler:
    """A pooling, what it is for, and where it comes from.

    `make` returns Sentence Transformers modules that turn `token_embeddings` (B, T, H), or with `reads_layers`
    `all_layer_embeddings` (L + 1 of these), into `sentence_embedding` (B, H); it raises BadInput for a model that the
    pooling does not suit. `doubt` says what speaks against it where it can still be used, "" if nothing does.
    """

    make: Make
    purpose: str
    source: str
    reads_layers: bool = False
    doubt: Callable[[Host], str] = _no_doubt


def register(name: str, pooler: Pooler) -> None:
    """Add a pooling under a name of its own; `encoder.pooling` takes it from then on.

    Raises:
        BadInput: the name is taken.
    """
    if name in _POOLINGS:
        raise BadInput.at("pooling", expected="a new name", found=f"'{name}', which is taken", do="choose another")
    _POOLINGS[name] = pooler


def module_type(module: type[nn.Module]) -> str:
    """Name of a module's class in modules.json."""
    standard = getattr(module, "saved_as", None)
    return f"sentence_transformers.models.{standard}" if standard else f"{module.__module__}.{module.__qualname__}"


def known_modules() -> dict[str, type[Module]]:
    """The classes that Sentence Transformers lacks, of poolings and of tables, by their names in modules.json."""
    import torch

    from nearfar.encoder.compressed_table import CompressedTable
    from nearfar.encoder.config import EncoderConfig

    host, config = Host(width=1, layers=1, attention="bidirectional"), EncoderConfig(latents=1)
    with torch.random.fork_rng(devices=[]):  # what is made here is thrown away, and leaves no trace
        made = {type(module) for pooler in POOLINGS.values() for module in pooler.make(host, config)}
    made.add(CompressedTable)
    return {module_type(kind): kind for kind in made if not kind.__module__.startswith("sentence_transformers.")}


def _standard(mode: Literal["cls", "mean", "max", "lasttoken", "weightedmean"]) -> Make:
    def make(host: Host, _config: EncoderConfig) -> list[Module]:
        from sentence_transformers.sentence_transformer.modules import Pooling

        return [Pooling(host.width, pooling_mode=mode)]

    return make


def _cls(host: Host, config: EncoderConfig) -> list[Module]:
    if host.attention == "causal":
        raise BadInput.at("encoder.pooling", expected="a token that sees the whole text",
                          found="cls on a causal decoder, whose first token sees itself alone",
                          do="use last, or set encoder.attention to bidirectional")  # fmt: skip
    return _standard("cls")(host, config)


def _latent_attention(host: Host, config: EncoderConfig) -> list[Module]:
    from nearfar.encoder.latent_attention import LatentAttention

    return [LatentAttention(host.width, config.latents), *_standard("mean")(host, config)]


def _multi_layer(host: Host, _config: EncoderConfig) -> list[Module]:
    from nearfar.encoder.multi_layer import MultiLayer

    return [MultiLayer(host.width, host.layers, "lasttoken" if host.attention == "causal" else "mean")]


def _layer_mix(host: Host, config: EncoderConfig) -> list[Module]:
    from nearfar.encoder.layer_mix import LayerMix

    if max(config.mixed_layers, default=0) > host.layers:
        raise BadInput.at("encoder.mixed_layers", expected=f"layers from 0 to {host.layers}, the model's last",
                          found=str(max(config.mixed_layers)), do="lower it")  # fmt: skip
    return [LayerMix.of(host.width, host.layers, config.mixed_layers), *_standard("mean")(host, config)]


def _first_is_a_word(host: Host) -> str:
    return (
        "" if host.opened else "cls takes the first token, here a word of the text: the tokenizer puts none before it"
    )


def _last_is_odd(host: Host) -> str:
    if host.attention == "bidirectional":
        return "last is for causal decoders: here every token sees the whole text, and mean is the usual choice"
    return "" if host.closed else "last takes the last token, here a word of the text: the tokenizer puts none after it"


_POOLINGS: dict[str, Pooler] = {
    "cls": Pooler(_cls, "the vector of the first token", "BERT, Devlin et al., 2019", doubt=_first_is_a_word),
    "mean": Pooler(_standard("mean"), "the mean over the tokens", "Sentence-BERT, Reimers and Gurevych, 2019"),
    "max": Pooler(_standard("max"), "the largest value of each dimension", "Sentence-BERT, Reimers and Gurevych, 2019"),
    "last": Pooler(
        _standard("lasttoken"),
        "the vector of the last token, for causal decoders",
        "cpt-text, Neelakantan et al., 2022",
        doubt=_last_is_odd,
    ),
    "weighted_mean": Pooler(
        _standard("weightedmean"), "the mean with weights that rise with the position", "SGPT, Muennighoff, 2022"
    ),
    "latent_attention": Pooler(
        _latent_attention,
        "each token looks up a learned array, then the mean",
        "after NV-Embed, Lee et al., 2024, section 3.1",
    ),
    "multi_layer": Pooler(
        _multi_layer,
        "learned attention over the pooled outputs of all layers",
        "after Pooling And Attention, Tang and Yang, 2024",
        reads_layers=True,
    ),
    "layer_mix": Pooler(
        _layer_mix,
        "learned weights of all or some layers, then the mean",
        "after EarlyBIRD, Grishina et al., 2023, and DeTriever, 2024",
        reads_layers=True,
    ),
}
POOLINGS: Mapping[str, Pooler] = MappingProxyType(_POOLINGS)
