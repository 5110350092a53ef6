"""An encoder as one graph of token ids, as other runtimes take it: transformer, pooling and normalisation."""

from __future__ import annotations

from pathlib import Path

from sentence_transformers.sentence_transformer.modules import Normalize
from torch import Tensor, nn
from torch.nn import functional

from nearfar.core.errors import BadInput
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.prompts import excludes_prompt, task_prompts

INPUTS = ("input_ids", "attention_mask")
OUTPUTS = ("sentence_embedding", "token_embeddings")  # the names of Sentence Transformers


class Graph(nn.Module):
    """Token ids and mask (B, T) to the vectors of the texts (B, d) and of their tokens (B, T, H)."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.route = nn.Sequential(*encoder.route("document"))
        self.normalises = encoder.similarity == "cosine" and not isinstance(self.route[-1], Normalize)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors that `Encoder.embed` gives of the same rows, where its precision is fp32."""
        first, *rest = self.route
        features = first({"input_ids": input_ids, "attention_mask": attention_mask})
        tokens = features["token_embeddings"]
        for module in rest:
            features = module(features)
        vectors = features["sentence_embedding"]
        return functional.normalize(vectors, dim=1) if self.normalises else vectors, tokens


def check_graph(encoder: Encoder, folder: Path) -> None:
    """Refuse an encoder that token ids and their mask alone do not determine.

    Raises:
        BadInput: it is a token table, or two encoders, or leaves prompts out, or needs examples.
    """
    prompts = [encoder.prompt("query"), encoder.prompt("document"), *task_prompts(encoder.model).values()]
    found = {
        "a token table, which is faster by itself": encoder.is_static,
        "an encoder for queries and one for documents": not encoder.is_shared,
        "examples before each query": encoder.examples is not None,
        "a pooling that leaves prompts out": any(map(excludes_prompt, encoder.model)) and any(prompts),
    }
    if wrong := next((words for words, so in found.items() if so), None):
        raise BadInput.at(folder, expected="one transformer that reads a text and its prompt", found=wrong,
                          do="serve it as it is: nearfar serve")  # fmt: skip
