"""Several vectors a document: late interaction, whose model keeps one of each token, and ME-BERT's first tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import MultiVectorEncoder
from torch import Tensor

from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.identity import kind_of, settings_of, tensor_bytes
from nearfar.encoder.kernels import inference_kernels
from nearfar.encoder.load import SAFE, fetched, loaded, model_folder
from nearfar.encoder.precision import Policy
from nearfar.encoder.vetting import vetted
from nearfar.text.token_store import tokenizer_digest

PAIRS_AT_ONCE = 256  # whose token vectors are held
LEGACY = ("pylate.models.Dense.Dense",)  # which Sentence Transformers takes for its own class

TextPair = tuple[str, str]  # query, document
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MultiVector:
    """score(q, D) = Σ_{i ∈ q} max_{j ∈ D} ⟨q_i, d_j⟩ over the tokens' vectors (MaxSim; Khattab and Zaharia, 2020)."""

    model: MultiVectorEncoder

    def scores(
        self, pairs: Sequence[TextPair], policy: Policy, *, on_progress: Callable[[int], None] = lambda _pairs: None
    ) -> Floats:
        """Score of each pair, (n,), by the model's own similarity; each text is encoded once in so many pairs.

        Args:
            on_progress: called with the number of pairs done since the last call.
        """
        result = np.empty(len(pairs), np.float32)
        with self.inference(policy):
            for start in range(0, len(pairs), PAIRS_AT_ONCE):
                part = pairs[start : start + PAIRS_AT_ONCE]
                queries, documents = (list(dict.fromkeys(texts)) for texts in zip(*part, strict=True))
                left = dict(zip(queries, self.model.encode_query(queries, show_progress_bar=False), strict=True))
                right = dict(
                    zip(documents, self.model.encode_document(documents, show_progress_bar=False), strict=True)
                )
                found = self.model.similarity_pairwise([left[query] for query, _ in part],
                                                       [right[document] for _, document in part])  # fmt: skip
                result[start : start + len(part)] = found.float().cpu().numpy()
                on_progress(len(part))
        return result

    @contextmanager
    def inference(self, policy: Policy) -> Iterator[None]:
        """Evaluation mode with the fast kernels and without gradients inside the block."""
        self.model.to(policy.device).eval()
        transformer = self.model.transformers_model
        kernels = nullcontext() if transformer is None else inference_kernels(transformer)
        with torch.inference_mode(), policy.autocast, kernels:
            yield

    def fingerprint(self) -> str:
        """Identity of the scores."""
        tensors = (part for name, tensor in sorted(self.model.state_dict().items())
                   for part in (name, tensor_bytes(tensor)))  # fmt: skip
        modules = [f"{kind_of(module)} {settings_of(module)}" for module in self.model]
        facts = [str(self.model.similarity_fn_name), str(sorted(self.model.prompts.items())),
                 str(self.model.max_seq_length), tokenizer_digest(self.model.tokenizer.backend_tokenizer)]  # fmt: skip
        return digest([*facts, *modules, *tensors])


@dataclass(frozen=True)
class FirstTokens:
    """score(q, D) = max_{j < m} ⟨q, d_j⟩: a bi-encoder's query against the first m token vectors of a document.

    ME-BERT's score (Luan et al., 2021, section 4); its model is trained for it, where this is any bi-encoder of tokens.
    """

    encoder: Encoder
    count: int  # m

    def scores(
        self, pairs: Sequence[TextPair], policy: Policy, *, on_progress: Callable[[int], None] = lambda _pairs: None
    ) -> Floats:
        """Score of each pair, (n,); token vectors are normalised where the model's similarity is cosine."""
        queries = list(dict.fromkeys(query for query, _ in pairs))
        left = dict(zip(queries, torch.from_numpy(encode(self.encoder, queries, "query", policy)), strict=True))
        result = np.empty(len(pairs), np.float32)
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            part = pairs[start : start + PAIRS_AT_ONCE]
            tokens = self._tokens([document for _, document in part], policy)
            result[start : start + len(part)] = [float((own @ left[query]).max()) for own, (query, _)
                                                 in zip(tokens, part, strict=True)]  # fmt: skip
            on_progress(len(part))
        return result

    @contextmanager
    def inference(self, policy: Policy) -> Iterator[None]:
        """Evaluation mode without gradients inside the block."""
        with self.encoder.inference(policy):
            yield

    def fingerprint(self) -> str:
        """Identity of the scores."""
        return digest([self.encoder.fingerprint(), str(self.count)])

    def _tokens(self, documents: list[str], policy: Policy) -> list[Tensor]:
        """The first m token vectors of each document, (≤ m, d)."""
        with self.inference(policy):
            found = self.encoder.model.encode_document(documents, output_value="token_embeddings",
                                                       show_progress_bar=False)  # fmt: skip
        first = [cast(Tensor, own)[: self.count].float().cpu() for own in found]
        if self.encoder.similarity == "cosine":
            first = [torch.nn.functional.normalize(own, dim=1) for own in first]
        return first


def first_tokens(encoder: Encoder, count: int, name: str) -> FirstTokens:
    """Score by the first `count` tokens of documents.

    Raises:
        BadInput: the model is a token table, or its tokens have another dimension than its vectors.
    """
    if encoder.is_static:
        raise BadInput.at(name, expected="an index of a transformer", found="one of a token table, whose tokens know "
                          "nothing of each other", do="choose another reranker")  # fmt: skip
    width = int(encoder.transformers[0].config.hidden_size)
    if width != encoder.dimension:
        raise BadInput.at(name, expected=f"token vectors of {encoder.dimension} dimensions", found=f"{width}",
                          do="choose another reranker")  # fmt: skip
    return FirstTokens(encoder, count)


def load_multi_vector(name: str | Path, device: str = "cpu") -> MultiVector:
    """Load a multi-vector encoder (ColBERT and its kin) from a local folder or a hub name.

    Raises:
        BadInput: nothing of that name, or a folder that cannot be loaded safely.
    """
    folder = model_folder(str(name)) or fetched(str(name))
    vetted(folder, LEGACY)
    options: dict[str, Any] = {"device": device, "local_files_only": True, "trust_remote_code": False}
    return MultiVector(loaded(name, lambda: MultiVectorEncoder(str(folder), model_kwargs=SAFE, **options)))
