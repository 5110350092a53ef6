"""Write a model folder that Sentence Transformers and other servers read alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sentence_transformers.base.modules.transformer import TRANSFORMER_TASK_DEFAULTS
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer, WeightedLayerPooling
from torch import nn

from nearfar.core.artifact import writing
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.examples import FOLDER
from nearfar.encoder.load import quiet
from nearfar.encoder.model_files import POOLING_MODES
from nearfar.encoder.needs import needs
from nearfar.encoder.poolings import module_type

# Servers written against Sentence Transformers 2 to 5 know modules by these names and poolings by these keys.
LEGACY_TYPES = {"Transformer", "Pooling", "Normalize", "Dense", "StaticEmbedding"}
LEGACY_WIDTH = "word_embedding_dimension"
LEGACY_POOLING = {mode: key for key, mode in POOLING_MODES.items()}


def save_encoder(
    encoder: Encoder,
    path: Path,
    *,
    card: str,
    overwrite: bool = False,
    beside: Mapping[str, Callable[[Path], None]] | None = None,
) -> str:
    """Write `encoder` as a model folder with the text `card` as its README.md, and return its fingerprint.

    Args:
        beside: names of folders in it, and what makes and writes each.

    Raises:
        BadInput: `path` exists and `overwrite` is false, or the disk is full.
    """
    fingerprint = encoder.fingerprint()
    with writing(path, "model", {"fingerprint": fingerprint}, overwrite=overwrite) as folder:
        with quiet():
            encoder.model.save(str(folder), create_model_card=False, safe_serialization=True)
        entries = _read(folder / "modules.json")
        for module, entry in zip(encoder.model, entries, strict=True):
            entry["type"] = _type(module, entry["type"])
            _legacy_config(module, folder / entry["path"])
        _write(folder / "modules.json", entries)
        for routes in folder.rglob("router_config.json"):
            _name_routes(encoder, routes)
        (folder / "README.md").write_text(card + needs(encoder), encoding="utf-8")
        if encoder.examples:
            encoder.examples.save(folder / FOLDER)
        for name, write in (beside or {}).items():
            write(folder / name)
    return fingerprint


def _type(module: nn.Module, written: str) -> str:
    """Name of a module's class under which most readers know it."""
    name = written.rsplit(".", 1)[-1]
    if name in LEGACY_TYPES and written.startswith("sentence_transformers."):
        return f"sentence_transformers.models.{name}"
    return module_type(type(module)) if hasattr(module, "saved_as") else written


def _name_routes(encoder: Encoder, path: Path) -> None:
    """Modules behind a Router keep the names that the library gave them, but for those saved as another class."""
    routes = _read(path)
    named = {f"{type(module).__module__}.{type(module).__name__}": module for module in encoder.model.modules()}
    routes["types"] = {
        part: module_type(type(named[written])) if hasattr(named[written], "saved_as") else written
        for part, written in routes["types"].items()
    }
    _write(path, routes)


def _legacy_config(module: nn.Module, folder: Path) -> None:
    """Write a module's settings under the keys of before Sentence Transformers 6."""
    path = folder / "config.json"
    if isinstance(module, Transformer):
        _legacy_transformer(module, folder / module.config_file_name)
        _legacy_tokenizer(folder / "tokenizer_config.json")
    elif isinstance(module, Pooling):
        modes = (module.pooling_mode,) if isinstance(module.pooling_mode, str) else module.pooling_mode
        flags = {key: mode in modes for mode, key in LEGACY_POOLING.items()}
        _write(path, {LEGACY_WIDTH: module.embedding_dimension, **flags, "include_prompt": module.include_prompt})
    elif isinstance(module, Dense):
        usual = {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}
        _write(path, _unusual(_read(path), usual))
    elif isinstance(module, WeightedLayerPooling):
        settings = _read(path)
        _write(path, {LEGACY_WIDTH: settings.pop("embedding_dimension"), **settings})


def _legacy_transformer(module: Transformer, path: Path) -> None:
    """State the limit, which other servers want, and no setting that is as usual: earlier versions refuse them."""
    modalities, output = TRANSFORMER_TASK_DEFAULTS["feature-extraction"]
    usual = {"transformer_task": "feature-extraction", "modality_config": modalities, "module_output_name": output}
    limits = {"max_seq_length": module.max_seq_length, "do_lower_case": module.do_lower_case}
    _write(path, {**limits, **_unusual(_read(path), usual)})


def _legacy_tokenizer(path: Path) -> None:
    """Name a tokenizer that is all in its file as transformers 4 did, which transformers 5 reads too."""
    settings = _read(path)
    if settings.get("tokenizer_class") == "TokenizersBackend":
        _write(path, {**settings, "tokenizer_class": "PreTrainedTokenizerFast"})


def _unusual(settings: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in usual or value != usual[key]}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
