"""An encoder written for another runtime, and run there: what `python -m nearfar.encoder.exporting` does.

It is a process of its own: the exporter keeps every weight several times and patches torch, and a runtime that crashes
takes nothing along. What is run there lies in the folder, and is run by the tokenizers library and the runtime alone.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import BadInput, MissingExtra

Precision = Literal["fp32", "int8"]
Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]
Run = Callable[[Ids, Ids], Vectors]  # token ids and mask (B, T) → (B, d)
BATCH = 16  # texts of all lengths together
PROBES, FOUND = "probes.json", "probes.npy"
ONNX, OPENVINO = "model.onnx", "openvino_model.xml"
INT8_BLOCK = 16  # weights of one scale; with 32 MiniLM finds others (LOG.md)


@dataclass(frozen=True)
class Target:
    """A runtime."""

    packages: Sequence[str]  # which the extra of its name installs
    write: Callable[[Any, Path, Precision], None]  # encoder, folder
    open: Callable[[Path], Run]


def convert(model: Path, to: str, precision: Precision, texts: Sequence[str], folder: Path) -> Vectors:
    """Write the model's graph and tokenizer for a runtime into `folder`, and return the texts' vectors from there.

    Args:
        texts: with their prompts.

    Raises:
        MissingExtra: a package of the runtime is not installed.
        BadInput: the model cannot be written for it, or does not run there.
    """
    if any(importlib.util.find_spec(name) is None for name in TARGETS[to].packages):
        raise MissingExtra.of(f"export to {to}", to)
    probes, found = folder / PROBES, folder / FOUND
    probes.write_text(json.dumps(list(texts)), encoding="utf-8")
    command = [sys.executable, "-m", __name__, str(model), to, precision, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- this module itself
    if done.returncode or not found.is_file():
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"an end with code {done.returncode}"]
        raise BadInput.at(model, expected=f"a model that can be written for {to}", found=said[-1][:200],
                          do="serve it as it is: nearfar serve")  # fmt: skip
    vectors: Vectors = np.load(found)
    probes.unlink()
    found.unlink()
    return vectors


def embed(folder: Path, to: str, texts: Sequence[str]) -> Vectors:
    """Vectors (len(texts), d) of texts with their prompts by what lies in an exported folder alone."""
    from tokenizers import Tokenizer  # noqa: PLC0415 -- `convert` needs no more than a process

    tokenizer, run = Tokenizer.from_file(str(folder / "tokenizer.json")), TARGETS[to].open(folder)
    parts = []
    for start in range(0, len(texts), BATCH):
        encoded = tokenizer.encode_batch(list(texts[start : start + BATCH]))
        ids, mask = ([getattr(one, name) for one in encoded] for name in ("ids", "attention_mask"))
        parts.append(run(np.array(ids, np.int64), np.array(mask, np.int64)))
    return np.concatenate(parts)


def _write_onnx(encoder: Any, folder: Path, precision: Precision) -> None:
    import torch  # noqa: PLC0415

    from nearfar.encoder.graph import INPUTS, OUTPUTS, Graph  # noqa: PLC0415

    ids = torch.tensor([[*range(5, 12)], [*range(3, 10)], [*range(7, 14)]]) % encoder.tokenizer.get_vocab_size()
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    sizes = {0: torch.export.Dim("texts", min=1), 1: torch.export.Dim("tokens", min=1, max=encoder.max_tokens)}
    torch.onnx.export(Graph(encoder).eval(), (ids, mask), str(folder / ONNX), input_names=INPUTS, output_names=OUTPUTS,
                      dynamo=True, dynamic_shapes=(sizes, sizes), external_data=False, verbose=False)  # fmt: skip
    if precision == "int8":
        _quantise(folder / ONNX)


def _quantise(path: Path) -> None:
    """Keep the weights of products as int8 in blocks, and multiply in fp32: int8 products find others (LOG.md)."""
    import onnx  # noqa: PLC0415
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer  # noqa: PLC0415

    quantiser = MatMulNBitsQuantizer(
        onnx.load(path), block_size=INT8_BLOCK, is_symmetric=True, accuracy_level=1, bits=8
    )
    quantiser.process()
    quantiser.model.save_model_to_file(str(path), use_external_data_format=False)


def _open_onnx(folder: Path) -> Run:
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(str(folder / ONNX), providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})[0]


def _write_openvino(encoder: Any, folder: Path, precision: Precision) -> None:
    import openvino  # noqa: PLC0415

    _write_onnx(encoder, folder, precision)
    graph = openvino.Core().read_model(folder / ONNX)  # by its own reader: `convert_model` reports to its makers
    openvino.save_model(graph, folder / OPENVINO, compress_to_fp16=False)
    (folder / ONNX).unlink()


def _open_openvino(folder: Path) -> Run:
    import openvino  # noqa: PLC0415

    compiled = openvino.Core().compile_model(folder / OPENVINO, "CPU")
    output = compiled.output("sentence_embedding")
    return lambda ids, mask: compiled({"input_ids": ids, "attention_mask": mask})[output]


def _write_tokenizer(encoder: Any, folder: Path) -> None:
    """With the model's limit and padding, so that a caller needs the file alone."""
    tokenizer, first = encoder.tokenizer, encoder.inputs[0].tokenizer
    tokenizer.enable_truncation(encoder.max_tokens)
    tokenizer.enable_padding(
        direction=first.padding_side, pad_id=first.pad_token_id or 0, pad_token=first.pad_token or ""
    )
    tokenizer.save(str(folder / "tokenizer.json"))


TARGETS: Mapping[str, Target] = {
    "onnx": Target(("onnx", "onnxscript", "onnxruntime"), _write_onnx, _open_onnx),
    "openvino": Target(("onnx", "onnxscript", "openvino"), _write_openvino, _open_openvino),
}


def main(model: str, to: str, precision: Precision, folder: Path) -> None:
    """Write the model, and the vectors of the texts that lie in the folder."""
    from nearfar.encoder.load import load_encoder  # noqa: PLC0415

    logging.disable(logging.WARNING)
    encoder = load_encoder(model)
    _write_tokenizer(encoder, folder)
    TARGETS[to].write(encoder, folder, precision)
    np.save(folder / FOUND, embed(folder, to, json.loads((folder / PROBES).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "int8" if sys.argv[3] == "int8" else "fp32", Path(sys.argv[4]))
