"""Learned sparse encoders: each text as weights of tokens, such as SPLADE's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sentence_transformers import SparseEncoder
from sentence_transformers.base.modules import Module
from sentence_transformers.sentence_transformer.modules import Transformer
from transformers import PreTrainedModel

from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest
from nearfar.encoder.encoder import Role
from nearfar.encoder.identity import kind_of, settings_of, tensor_bytes
from nearfar.encoder.kernels import inference_kernels
from nearfar.encoder.load import SAFE, fetched, loaded, model_folder
from nearfar.encoder.packing import pack
from nearfar.encoder.precision import Policy
from nearfar.encoder.vetting import read_json, vetted
from nearfar.text.token_store import tokenizer_digest

SPARSE = {"SpladePooling", "SparseAutoEncoder", "SparseStaticEmbedding"}  # one of them makes a model sparse
CHARACTERS_A_TOKEN = 3  # only for sorting by length and filling micro-batches; words have more, code has fewer
UNLIMITED = 512  # tokens of a text where the model states no limit
VOCABULARY = 30_522  # a number for each of so many tokens, at each token of a text, is what the budget is measured in
SMALLEST, LARGEST = 2.0**-24, 65_504.0  # float16s above 0, as which the weights of documents are kept

Weights = sparse.csr_array


@dataclass(frozen=True)
class SparseModel:
    """A learned sparse encoder. The wrapped `model` loads and saves without nearfar."""

    model: SparseEncoder

    @property
    def max_tokens(self) -> int:
        """Tokens of a text that are read, special ones included."""
        return min(int(self.model.max_seq_length or UNLIMITED), 1 << 20)

    def encode(self, texts: Sequence[str], role: Role, policy: Policy) -> Weights:
        """Weights of the tokens of queries or documents, (len(texts), V) in the given order, fp32, 0 or more.

        They are what the model's own `encode_query` or `encode_document` gives, of length 1 where its similarity is
        cosine; those below 2⁻²⁴, the least of a float16, count as none.

        Raises:
            BadInput: a weight is negative, not finite, or too large for a float16.
        """
        lengths = np.fromiter((len(text) // CHARACTERS_A_TOKEN + 3 for text in texts), np.int64, len(texts))
        dimension = int(self.model.get_embedding_dimension() or VOCABULARY)
        budget = max(1, policy.budget_tokens * VOCABULARY // max(dimension, VOCABULARY))
        batches = pack(np.minimum(lengths, self.max_tokens), budget).micro_batches
        with ExitStack() as kernels:
            self.model.to(policy.device).eval()
            for transformer in self._transformers:
                kernels.enter_context(inference_kernels(transformer))
            parts = [self._rows([texts[i] for i in batch], role) for batch in batches]
        if not parts:
            parts, batches = [Weights(np.empty((0, dimension), np.float32))], [np.empty(0, np.int64)]
        joined: Weights = sparse.vstack(parts, format="csr")[np.argsort(np.concatenate(batches))]
        return joined

    def _rows(self, texts: list[str], role: Role) -> Weights:
        call = self.model.encode_query if role == "query" else self.model.encode_document
        found: Any = call(texts, batch_size=len(texts), convert_to_sparse_tensor=False, save_to_cpu=True,
                          show_progress_bar=False)  # fmt: skip
        rows: NDArray[np.float32] = found.float().numpy()  # (n, V)
        if self.model.similarity_fn_name == "cosine":
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        if not (rows.min(initial=0) >= 0 and rows.max(initial=0) <= LARGEST):
            found = f"{rows.min()} to {rows.max()}"
            raise BadInput.at("the sparse model", expected=f"weights of tokens from 0 to {LARGEST:,.0f}", found=found,
                              do="choose another model")  # fmt: skip
        kept: Any = sparse.csr_array(np.where(rows >= SMALLEST, rows, np.float32(0)))
        weights: Weights = kept
        return weights

    def name(self, token: int) -> str:
        """A token as the tokenizer writes it; the number of a dimension that is no token."""
        known: Any = self.model.tokenizer
        is_token = token < len(known) and not any(kind_of(one) == "SparseAutoEncoder" for one in self.model.modules())
        return str(known.convert_ids_to_tokens(token)) if is_token else f"dimension {token}"

    def fingerprint(self) -> str:
        """Identity of the weights: everything that changes one, and nothing that does not."""
        tensors = (
            part for name, tensor in sorted(self.model.state_dict().items()) for part in (name, tensor_bytes(tensor))
        )
        prompts = [f"{name}: {prompt}" for name, prompt in sorted(self.model.prompts.items()) if prompt]
        own = self.model
        facts = [str(fact) for fact in (own.similarity_fn_name, own.max_active_dims, own.default_prompt_name)]
        return digest([*facts, *prompts, *self._settings(), *tensors])

    def _settings(self) -> Iterator[str]:
        """What decides the result of each module besides its weights."""
        for name, module in self.model.named_modules():
            if isinstance(module, Transformer):
                yield f"{name} {settings_of(module)}"
            elif isinstance(module, Module):
                keys = sorted({*module.config_keys} - {"embedding_dimension"})  # which a first call finds out
                yield f"{name} {kind_of(module)} { {key: str(getattr(module, key, None)) for key in keys} }"
            tokenizer = getattr(getattr(module, "tokenizer", None), "backend_tokenizer", None)
            if tokenizer is not None:
                yield f"{name} {tokenizer_digest(tokenizer)} {getattr(module, 'max_seq_length', None)}"

    @property
    def _transformers(self) -> list[PreTrainedModel]:
        found = [module for module in self.model.modules() if isinstance(module, PreTrainedModel)]
        inside = {id(part) for one in found for part in one.modules() if part is not one}
        return [one for one in found if id(one) not in inside]


def load_sparse(name: str | Path | SparseEncoder | SparseModel, device: str = "cpu") -> SparseModel:
    """Load a sparse encoder from a local folder or a hub name; a loaded one is wrapped as it is.

    Raises:
        BadInput: nothing of that name, a folder that cannot be loaded safely, or no sparse encoder of dot or cosine.
    """
    if isinstance(name, SparseModel):
        return name
    if isinstance(name, SparseEncoder):
        return _checked(str(name.model_card_data.model_name or "the sparse model"), name)
    folder = _folder(str(name))
    if not _is_sparse(folder):
        raise BadInput.at(name, expected="a sparse encoder, such as SPLADE, or a masked language model",
                          found="another kind of model", do="choose another for --sparse")  # fmt: skip
    options: dict[str, Any] = {"device": device, "local_files_only": True, "model_kwargs": SAFE}
    opened = loaded(name, lambda: SparseEncoder(str(folder), trust_remote_code=False, **options))
    return _checked(str(name), opened)


def _folder(name: str) -> Path:
    try:
        folder = model_folder(name)
    except BadInput as error:
        raise BadInput.at(name, expected="a sparse encoder", found=error.found, do="check the name") from None
    return folder or fetched(name)


def _is_sparse(folder: Path) -> bool:
    types = vetted(folder)
    if types:
        return any(kind.rpartition(".")[2] in SPARSE for kind in types)
    kinds = (read_json(folder / "config.json", dict) or {}).get("architectures")
    return any(str(kind).endswith("ForMaskedLM") for kind in kinds or [])  # others would get a head of random weights


def _checked(name: str, model: SparseEncoder) -> SparseModel:
    if model.similarity_fn_name not in {"dot", "cosine"}:
        raise BadInput.at(name, expected="similarity dot or cosine", found=str(model.similarity_fn_name),
                          do="choose another model")  # fmt: skip
    return SparseModel(model)
