"""The reranker: a cross-encoder, which reads a query and a document together and gives the pair one score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from sentence_transformers import CrossEncoder
from torch import Tensor, nn

from nearfar.core.errors import BadInput
from nearfar.core.fingerprint import digest
from nearfar.encoder.crew import LARGEST, Crew
from nearfar.encoder.encode import INFERENCE_BUDGET
from nearfar.encoder.fused import FusedLayers, is_fusable
from nearfar.encoder.kernels import inference_kernels, training_kernels
from nearfar.encoder.load import SAFE, fetched, loaded, model_folder, quiet
from nearfar.encoder.packing import pack
from nearfar.encoder.precision import Policy
from nearfar.encoder.vetting import vetted
from nearfar.text.token_store import panics_told, tokenizer_digest

TextPair = tuple[str, str]  # query, document

CHARACTERS_A_TOKEN = 3  # only for sorting by length and filling micro-batches; words have more, code has fewer
UNLIMITED = 512  # tokens of a pair where the model states no limit


@dataclass(frozen=True)
class Reranker:
    """A cross-encoder with one score a pair. The wrapped `model` loads and saves without nearfar."""

    model: CrossEncoder

    @property
    def max_tokens(self) -> int:
        """Tokens of a pair, special ones included; of a longer pair the longer text is cut first."""
        return int(self.model.max_seq_length or UNLIMITED)

    def lengths(self, pairs: Sequence[TextPair]) -> NDArray[np.int64]:
        """About how many tokens each pair has, (n,)."""
        characters = np.fromiter((len(query) + len(document) for query, document in pairs), np.int64, len(pairs))
        return np.minimum(characters // CHARACTERS_A_TOKEN + 3, self.max_tokens)

    def features(self, pairs: Sequence[TextPair], policy: Policy) -> dict[str, Any]:
        """The model's own input for these pairs."""
        with panics_told():
            found: dict[str, Any] = _never_empty(
                self.model.preprocess(list(pairs)), self.model.tokenizer.pad_token_id or 0
            )
        return {name: part.to(policy.device) if isinstance(part, Tensor) else part for name, part in found.items()}

    def scores(
        self, pairs: Sequence[TextPair], policy: Policy, *, on_progress: Callable[[int], None] = lambda _pairs: None
    ) -> NDArray[np.float32]:
        """Score of each pair before any activation, (n,): a sigmoid would make all sure pairs alike.

        Args:
            on_progress: called with the number of pairs done since the last call.
        """
        with self.inference(policy):
            return self.scores_inside(pairs, policy, on_progress=on_progress)

    def scores_inside(
        self, pairs: Sequence[TextPair], policy: Policy, *, on_progress: Callable[[int], None] = lambda _pairs: None
    ) -> NDArray[np.float32]:
        """`scores` inside the block of `inference` with the same policy, in the same thread."""
        result = np.empty(len(pairs), np.float32)
        for index in pack(self.lengths(pairs), INFERENCE_BUDGET * policy.budget_tokens).micro_batches:
            result[index] = logits(self.model, self.features([pairs[i] for i in index], policy)).cpu().numpy()
            on_progress(len(index))
        return result

    @contextmanager
    def inference(self, policy: Policy) -> Iterator[None]:
        """Evaluation mode with the fast kernels and without gradients inside the block."""
        self.model.to(policy.device).eval()
        with torch.inference_mode(), policy.autocast, self._exact_head(), inference_kernels(self._transformer):
            yield

    @contextmanager
    def training(self, policy: Policy) -> Iterator[None]:
        """Training mode with the fast kernels inside the block, evaluation mode after it."""
        self.model.to(policy.device).train()
        with self._exact_head(), training_kernels(self._transformer):
            try:
                yield
            finally:
                self.__dict__.pop("crew", self.crew).close()
        self.model.eval()

    @cached_property
    def crew(self) -> Crew[CrossEncoder]:
        """The threads that train on micro-batches side by side; one, where they would disturb each other."""
        modules = list(self.model.modules())
        apart = any(isinstance(module, FusedLayers) or is_fusable(module) for module in modules)
        foreign = any(type(module) is nn.Dropout for module in modules)  # draws from the one generator of all threads
        return Crew(self.model, min(torch.get_num_threads(), LARGEST) if apart and not foreign else 1)

    def fingerprint(self) -> str:
        """Identity of the scores: everything that changes one, and nothing that does not."""
        weights = save({name: tensor.contiguous() for name, tensor in self.model.state_dict().items()})
        modules = [type(module).__name__ for module in self.model]
        facts = [str(self.max_tokens), str(self.model.prompts), str(self.model.default_prompt_name)]
        return digest([*facts, *modules, tokenizer_digest(self.model.tokenizer.backend_tokenizer), weights])

    @property
    def _transformer(self) -> Any:
        return self.model.transformers_model

    @contextmanager
    def _exact_head(self) -> Iterator[None]:
        """The last product in fp32: in bf16 scores that differ by less than a hundredth would be equal."""
        before, base = self.model.keep_in_fp32_modules or [], self._transformer.base_model
        inside = {id(module) for module in base.modules()} if base is not self._transformer else set()
        heads = [name for name, module in self.model.named_modules()
                 if type(module) is nn.Linear and id(module) not in inside]  # fmt: skip
        self.model.set_keep_in_fp32_modules([*before, *(heads if inside else [])])
        try:
            yield
        finally:
            self.model.set_keep_in_fp32_modules(before)


def _never_empty(features: dict[str, Any], padding: int) -> dict[str, Any]:
    """The same, where a pair without a token, not even one that frames it, is read as one of padding."""
    mask = features.get("attention_mask")
    if not isinstance(mask, Tensor) or (mask.shape[1] and bool(mask.any(dim=1).all())):
        return features
    if not mask.shape[1]:
        fills = {"input_ids": padding}
        features = {name: part.new_full((len(mask), 1), fills.get(name, 0)) if isinstance(part, Tensor) else part
                    for name, part in features.items()}  # fmt: skip
    shown: Tensor = features["attention_mask"].clone()
    shown[~shown.bool().any(dim=1), 0] = 1
    return {**features, "attention_mask": shown}


def logits(model: CrossEncoder, features: dict[str, Any]) -> Tensor:
    """Scores of a micro-batch, (n,), fp32."""
    scores: Tensor = model(features)["scores"]
    return scores.float().flatten()


def load_reranker(name: str | Path | CrossEncoder | Reranker, device: str = "cpu") -> Reranker:
    """Load a cross-encoder from a local folder or a hub name; a loaded one is wrapped as it is.

    Raises:
        BadInput: nothing of that name, a folder that cannot be loaded safely, or no model of one score a pair.
    """
    if isinstance(name, Reranker):
        return name
    if isinstance(name, CrossEncoder):
        return Reranker(name)
    return _checked(str(name), _open(str(name), device, {}))


def new_reranker(base: str | Path, max_tokens: int, seed: int, device: str = "cpu") -> Reranker:
    """The transformer of a base model with a new head that gives one score; a cross-encoder keeps its own head.

    Raises:
        BadInput: nothing of that name, or no transformer that can be loaded safely.
    """
    options = {"num_labels": 1, "activation_fn": nn.Identity(), "max_length": max_tokens}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the new head
        return _checked(str(base), _open(str(base), device, options))


def _open(name: str, device: str, options: dict[str, Any]) -> CrossEncoder:
    folder = model_folder(name) or fetched(name)
    _refuse_others(folder)
    vetted(folder)
    safe = {"trust_remote_code": False, "local_files_only": True, "model_kwargs": SAFE}

    def made() -> CrossEncoder:
        model: CrossEncoder = CrossEncoder(str(folder), device=device, **safe, **options)
        return model

    return loaded(name, made)


def _refuse_others(folder: Path) -> None:
    if not (folder / "config.json").exists():
        raise BadInput.at(folder, expected="a transformer, with a config.json", found="none",
                          do="choose another model")  # fmt: skip


def _checked(name: str, model: CrossEncoder) -> Reranker:
    if model.num_labels != 1:
        raise BadInput.at(name, expected="a cross-encoder with one score a pair", found=f"{model.num_labels} scores",
                          do="choose another model")  # fmt: skip
    if getattr(model.tokenizer, "backend_tokenizer", None) is None:
        raise BadInput.at(name, expected="a fast tokenizer", found=type(model.tokenizer).__name__,
                          do="choose another model")  # fmt: skip
    return Reranker(model)


def save_reranker(reranker: Reranker, folder: Path) -> None:
    """Write the model into a folder that `CrossEncoder(folder)` loads."""
    with quiet():
        reranker.model.save(str(folder), create_model_card=False, safe_serialization=True)
