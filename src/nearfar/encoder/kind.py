"""What a model is, bi-encoder, cross-encoder or multi-vector encoder, told from its folder without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import snapshot_download

from nearfar.core.plain_file import plain_json
from nearfar.encoder.load import loaded, model_folder, on_hub

Kind = Literal["bi-encoder", "cross-encoder", "multi-vector"]
SETTINGS = "config_sentence_transformers.json"  # names the kind, in folders of Sentence Transformers 4 and later
KINDS: Mapping[str, Kind] = {  # by what that file says; ColBERT is PyLate's name
    "CrossEncoder": "cross-encoder", "MultiVectorEncoder": "multi-vector", "ColBERT": "multi-vector",
}  # fmt: skip
COLBERT = "HF_ColBERT"  # the architecture of its authors' checkpoints
HEADS = ("ForSequenceClassification", "ForCausalLM")  # a bare transformer that gives scores


def kind_of(name: str) -> Kind:
    """Kind of the model with this name, folder or hub name; of a hub name only the settings are fetched.

    Raises:
        BadInput: nothing of that name.
    """
    folder = model_folder(name) or Path(loaded(name, lambda: _settings_of(name)))
    stated = _read(folder / SETTINGS).get("model_type")
    if stated:
        return KINDS.get(str(stated), "bi-encoder")
    if (folder / "modules.json").exists():
        return "bi-encoder"
    architectures = _read(folder / "config.json").get("architectures") or [""]
    if architectures[0] == COLBERT:
        return "multi-vector"
    return "cross-encoder" if str(architectures[0]).endswith(HEADS) else "bi-encoder"


def _settings_of(name: str) -> str:
    return snapshot_download(name, allow_patterns="*.json", local_files_only=not on_hub(name))


def _read(path: Path) -> dict[str, Any]:
    try:
        values = plain_json(path)
    except (OSError, ValueError):  # whoever loads the model says what is wrong with it
        return {}
    return values if isinstance(values, dict) else {}
