"""What a model folder may hold: loading one runs no code of it, reads nothing beside it, and ends.

The libraries that load a folder take more on trust than a downloaded one deserves: classes by their names, functions in
the place of activations, weights as pickles, places of other models. All of it is looked at before they are called.
"""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput, excerpt
from nearfar.core.facts import is_inside
from nearfar.core.plain_file import MOST_TEXT_BYTES, plain_json

MODULES, CONFIG, ADAPTER = "modules.json", "config.json", "adapter_config.json"
ROUTES = ("router_config.json", CONFIG)  # of a Router: as it is written now, and as it was
SHARDS = "model.safetensors.index.json"
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin")
STANDARD = frozenset({  # modules of sentence-transformers that an encoder can be fed with token ids through
    "Transformer", "Pooling", "Normalize", "Dense", "Dropout", "LayerNorm", "CNN", "LSTM", "StaticEmbedding",
    "WeightedLayerPooling", "Router", "Asym", "MLMTransformer", "SpladePooling", "SparseAutoEncoder",
    "SparseStaticEmbedding", "MultiVectorMask", "HierarchicalTokenPooling", "LogitScore",
})  # fmt: skip
LAYER = re.compile(r"torch\.nn\.(modules\.\w+\.)?[A-Z]\w*")  # a class, which does nothing when it is made
OPTIONS = re.compile(r".*_(args|kwargs)")  # in settings of a transformer, which are passed on as they are
SIZES = re.compile(r".*(size|layers?|heads|labels|dim|positions?|embeddings|experts|n_ctx|n_embd|d_model|d_ff)")
LAYERS, HEADS = re.compile(r".*layers?"), re.compile(r".*heads")
MOST_FILES, MOST_NESTED = 10_000, 8
LARGE = 1 << 24  # of one size, where the weights are smaller
MANY_LAYERS, LARGE_TABLE = 64, 1 << 28
TEXTS = (".json", ".txt", ".jinja", ".md", ".model", ".jsonl")

Json = Any


@dataclass(frozen=True)
class Part:
    """A module of a folder."""

    kind: str
    folder: Path


def vetted(folder: Path, known: Collection[str] = ()) -> set[str]:
    """See that a model folder can be loaded safely, and return the names of the classes of its modules.

    Args:
        known: names of classes besides those of sentence-transformers.

    Raises:
        BadInput: so; the file and what is wrong with it are named.
    """
    _check_files(folder)
    parts = list(parts_of(folder))
    for part in parts:
        last = part.kind.rpartition(".")[2]
        if part.kind not in known and not (part.kind.startswith("sentence_transformers.") and last in STANDARD):
            raise BadInput.at(folder, expected="modules of sentence-transformers or of a registered pooling",
                              found=excerpt(part.kind), do="import the file that registers it first")  # fmt: skip
    for place in dict.fromkeys([folder, *(part.folder for part in parts)]):
        _check_weights(place)
        _check_settings(place)
    return {part.kind for part in parts}


def parts_of(folder: Path, depth: int = 0) -> Iterator[Part]:
    """The modules of a folder, and those behind a Router; none where it does not list them.

    Raises:
        BadInput: the list cannot be read, or leads out of the folder.
    """
    listed = read_json(folder / MODULES, list) or []
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
            raise _wrong(folder / MODULES, "modules with a path and a type", entry)
        yield from _with_routes(Part(entry["type"], _inside(folder, entry.get("path"), folder / MODULES)), depth)


def _with_routes(part: Part, depth: int) -> Iterator[Part]:
    yield part
    if part.kind.rpartition(".")[2] not in {"Router", "Asym"}:
        return
    path = next((part.folder / name for name in ROUTES if (part.folder / name).exists()), part.folder / ROUTES[0])
    types = (read_json(path, dict) or {}).get("types", {})
    if depth >= MOST_NESTED or not isinstance(types, dict):
        raise _wrong(path, "routes by their names", types)
    for name, kind in types.items():
        yield from _with_routes(Part(str(kind), _inside(part.folder, name, path)), depth + 1)


def read_json(path: Path, kind: type) -> Json:
    """A JSON file whose value is of a kind; None where there is no file.

    Raises:
        BadInput: it is something else.
    """
    try:
        value = plain_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        found = excerpt(str(error))
        raise BadInput.at(path, expected="a loadable model", found=found, do="download it again") from None
    if not isinstance(value, kind):
        raise _wrong(path, f"a loadable model, with a {kind.__name__} here", value)
    return value


def _inside(folder: Path, name: object, where: Path) -> Path:
    """A folder below another, by its name in a file."""
    if not isinstance(name, str) or not is_inside(name):
        raise _wrong(where, "a folder inside the model's", name)
    return folder / name


def _check_files(folder: Path) -> None:
    """Nothing that is no file, no text too long to read, no folder that leads elsewhere."""
    seen = 0
    for place, folders, files in os.walk(folder):
        for path in (Path(place) / name for name in (*folders, *files)):
            seen += 1
            if seen > MOST_FILES:
                raise BadInput.at(folder, expected="a model folder", found=f"more than {MOST_FILES:,} files",
                                  do="check the path")  # fmt: skip
            _check_file(path)


def _check_file(path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:  # a link to nothing
        return
    except OSError as error:
        raise BadInput.at(path, expected="a file", found=str(error.strerror), do="remove it") from None
    if stat.S_ISDIR(found.st_mode) and not path.is_symlink():
        return
    if not stat.S_ISREG(found.st_mode):
        what = "a link to a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise BadInput.at(path, expected="a file", found=what, do="remove it")
    if path.suffix in TEXTS and found.st_size > MOST_TEXT_BYTES:
        raise BadInput.at(path, expected=f"at most {MOST_TEXT_BYTES:,} bytes of text", found=f"{found.st_size:,}",
                          do="choose another model")  # fmt: skip


def _check_weights(place: Path) -> None:
    """Weights are safetensors, which hold numbers alone."""
    pickle = next((place / name for name in PICKLES if (place / name).exists()), None)
    shards = (read_json(place / SHARDS, dict) or {}).get("weight_map", {})
    names = {str(name) for name in shards.values()} if isinstance(shards, dict) else {""}
    if foreign := next((name for name in names if "/" in name or not name.endswith(".safetensors")), None):
        raise _wrong(place / SHARDS, "names of safetensors beside it", foreign)
    if pickle is not None and not any(place.glob("*.safetensors")):
        raise BadInput.at(pickle, expected="weights as safetensors", found="a pickle, which can run code",
                          do="convert it with model.save_pretrained(…, safe_serialization=True)")  # fmt: skip


def _check_settings(place: Path) -> None:
    """Settings name no code and no other place, and ask for no more than there are weights for."""
    config = read_json(place / CONFIG, dict) or {}
    own = read_json(place / "config_sentence_transformers.json", dict) or {}
    inner = config.get("sentence_transformers")
    named = [config.get("activation_function"), config.get("sbert_ce_default_activation_function"),
             own.get("activation_fn"), inner.get("activation_fn") if isinstance(inner, dict) else None]  # fmt: skip
    for name in named:
        if isinstance(name, str) and "." in name and not LAYER.fullmatch(name):
            raise _wrong(place, "an activation of torch.nn", name)
    for path in place.glob("sentence_*_config.json"):
        settings = read_json(path, dict)
        _check_length(path, settings.get("max_seq_length"))
        for key in filter(OPTIONS.fullmatch, settings):
            _check_options(path, settings[key])
    for key, value in config.items():
        if key.endswith("_implementation"):
            _check_options(place / CONFIG, value)
    if adapter := read_json(place / ADAPTER, dict):
        base = excerpt(str(adapter.get("base_model_name_or_path")))
        raise BadInput.at(place / ADAPTER, expected="a whole model", found=f"an adapter of {base}",
                          do="merge it into its base with peft's merge_and_unload()")  # fmt: skip
    _check_sizes(place, config)


def _check_length(path: Path, length: object) -> None:
    if length is not None and not (isinstance(length, int) and 0 < length <= LARGE):
        raise _wrong(path, f"max_seq_length from 1 to {LARGE:,}", length)


def _check_options(path: Path, value: Json) -> None:
    """What is passed on to transformers names no file and no repository."""
    if isinstance(value, dict):
        for one in value.values():
            _check_options(path, one)
    elif isinstance(value, str) and ("/" in value or "\\" in value):
        raise _wrong(path, "settings that name no place", value)


def _check_sizes(place: Path, config: Mapping[str, Json]) -> None:
    """Layers and tables that the settings ask for are about those that the weights have."""
    try:
        tensors, elements = _weights(place)
    except OSError as error:
        raise _wrong(place, "weights that can be read", error.strerror or error) from None
    if not tensors:
        return
    sizes = {key: value for key, value in config.items() if SIZES.fullmatch(key) and isinstance(value, int | float)}
    for key, value in sizes.items():
        most = max(MANY_LAYERS, tensors) if LAYERS.fullmatch(key) else max(LARGE, elements)
        least = 1 if HEADS.fullmatch(key) else -1  # which stands for none in some
        if not (isinstance(value, int) and least <= value <= most):
            raise _wrong(place / CONFIG, f"{key} from {least} to {most:,}, by the weights beside it", value)
    table = sizes.get("vocab_size", 0) * sizes.get("hidden_size", 0)
    if table > max(LARGE_TABLE, 64 * elements):
        raise _wrong(place / CONFIG, f"a table of at most {max(LARGE_TABLE, 64 * elements):,} numbers", table)


def _weights(place: Path) -> tuple[int, int]:
    """How many tensors the safetensors of a folder have by their headers, and how many bytes."""
    tensors = size = 0
    for path in place.glob("*.safetensors"):
        size += path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            header = file.read(length) if 2 <= length <= MOST_TEXT_BYTES else b""
        tensors += header.count(b'"data_offsets"')
    return tensors, size


def _wrong(path: Path, expected: str, found: object) -> BadInput:
    return BadInput.at(path, expected=expected, found=excerpt(str(found)), do="choose another model")
