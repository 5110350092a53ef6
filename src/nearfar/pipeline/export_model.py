"""`export` of a model: its graph for ONNX Runtime or OpenVINO, which is shown to find there what it finds here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nearfar.core.artifact import writing
from nearfar.core.config import nearest
from nearfar.core.errors import BadInput, excerpt
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder, Role
from nearfar.encoder.exporting import TARGETS, Precision, convert
from nearfar.encoder.graph import check_graph
from nearfar.encoder.load import load_encoder, model_folder
from nearfar.encoder.model_files import ModelFiles
from nearfar.encoder.parity import LEAST_COSINE, LEAST_OVERLAP, NEAREST, PROBES, Parity
from nearfar.encoder.precision import Policy
from nearfar.index.canaries import TEXTS
from nearfar.index.export_check import KIND
from nearfar.index.generation import open_index
from nearfar.index.table import TEXT
from nearfar.pipeline.place import check_made

SHORT_WORDS = 3
EVERY = 8  # of how many probes one is also cut short, and one made too long
LONGEST = 600  # characters of a probe as it is: a second or two for all
ROLES: Sequence[Role] = ("document", "query")


@dataclass(frozen=True)
class ExportedModel:
    """What was written, and how near its vectors are to ours in fp32."""

    path: str
    to: str
    precision: str
    dimension: int
    size_bytes: int  # of the graph with its weights
    probes: int  # texts it was tried with
    overlap: float  # mean share of the ten nearest texts that both find, of the worse role
    cosine: float  # lowest, of the two vectors of a text
    fingerprint: str


def export_model(
    source: str | Path, to: str, *, precision: Precision = "fp32", out: str | Path, overwrite: bool = False
) -> ExportedModel:
    """Write the model of a run, or a model folder, for "onnx" or "openvino", after it was tried there.

    Args:
        precision: int8 keeps the weights of products so: a smaller file, no faster.

    Raises:
        BadInput: it is no model that can be written so, `out` exists, or what it finds there differs.
        MissingExtra: the runtime's packages are not installed.
    """
    if to not in TARGETS:
        raise BadInput.at("--to", expected="a runtime", found=excerpt(to), do=nearest(to, list(TARGETS)))
    folder, out = model_folder(str(source)), Path(out)
    if folder is None:
        raise BadInput.at(source, expected="a run or a model folder", found="none", do="check the path")
    check_made(out, KIND, "an export", overwrite=overwrite)
    encoder = load_encoder(folder)
    check_graph(encoder, folder)
    texts = _probes(Path(source), encoder)
    facts = {"to": to, "precision": precision, "fingerprint": encoder.fingerprint(), "similarity": encoder.similarity}
    with writing(out, KIND, facts, overwrite=overwrite) as scratch:
        found = _tried(encoder, folder, to, precision, texts, scratch)
        _copy_settings(folder, scratch)
        size = sum(file.stat().st_size for file in scratch.glob("*model.*") if file.name != "model.safetensors")
    return ExportedModel(str(out), to, precision, encoder.dimension, size, len(texts), found.overlap, found.cosine,
                         facts["fingerprint"])  # fmt: skip


def _tried(
    encoder: Encoder, folder: Path, to: str, precision: Precision, texts: Sequence[str], scratch: Path
) -> Parity:
    """Parity of the worse role, where it holds."""
    roles = [role for role in ROLES if role == "document" or encoder.prompt(role) != encoder.prompt("document")]
    prompted = [encoder.prompt(role) + text for role in roles for text in texts]
    there = convert(folder, to, precision, prompted, scratch)
    here = [encode(encoder, texts, role, Policy()) for role in roles]
    each = [Parity.of(exact, part) for exact, part in zip(here, np.split(there, len(roles)), strict=True)]
    found = Parity(min(one.overlap for one in each), min(one.cosine for one in each))
    if not found.holds:
        wanted = f"top-{NEAREST} overlap of {LEAST_OVERLAP} and cosines of {LEAST_COSINE} or more"
        do = "export it in fp32" if precision != "fp32" else "serve it as it is: nearfar serve"
        raise BadInput.at(f"{folder} to {to} in {precision}", expected=wanted, do=do,
                          found=f"{found.overlap:.3f} and {found.cosine:.4f}")  # fmt: skip
    return found


def _probes(source: Path, encoder: Encoder) -> list[str]:
    """Texts of all lengths: documents of the run's index, some cut short, some beyond the limit, and none at all."""
    known: Sequence[str] = TEXTS
    if (source / "index").is_dir():
        table = open_index(source / "index").table
        rows = np.linspace(0, len(table) - 1, min(PROBES, len(table))).astype(np.int64)
        known = [str(text)[:LONGEST] for text in table.take(rows, [TEXT])[TEXT].to_pylist()]
    short = [" ".join(text.split()[:SHORT_WORDS]) for text in known[::EVERY]]
    everything = " ".join(known)
    many = encoder.max_tokens // max(len(everything.split()), 1) + 2
    long = [f"{text} {everything * many}" for text in known[1::EVERY]]
    mixed = list(dict.fromkeys([*known, *short, *long, ""]))
    return [mixed[place] for place in np.random.default_rng(0).permutation(len(mixed))]


def _copy_settings(folder: Path, target: Path) -> None:
    """What other readers want beside the graph: the configuration, the pooling, the prompts."""
    beside = [path for path in folder.glob("*.json") if path.name not in {"manifest.json", "tokenizer.json"}]
    of_modules = [folder / module.path / "config.json" for module in ModelFiles.of(folder).modules if module.path]
    for path in beside + [path for path in of_modules if path.is_file()]:
        if path.name.endswith(".index.json"):
            continue
        copy = target / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
