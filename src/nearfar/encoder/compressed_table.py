"""A token table that lies on disk as codes of few bits, and is an ordinary one once it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file, save_file
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer

from nearfar.core.coded_rows import CodedRows, restored

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"


class CompressedTable(StaticEmbedding):
    """Writes codes in the place of the table that they stand for.

    `load` returns a plain StaticEmbedding of the decoded rows: it is as fast as any, may be trained further, and is
    then saved in full. Both are one embedding space, and have one fingerprint.
    """

    opens_as = StaticEmbedding.__name__

    def __init__(self, tokenizer: Tokenizer, coded: CodedRows) -> None:
        super().__init__(tokenizer, embedding_weights=torch.from_numpy(coded.decode()))
        self.coded = coded

    def save(self, output_path: str, *_: Any, **__: Any) -> None:  # as the library calls it
        """Write codes and tokenizer into a folder."""
        save_file(dict(self.coded.state()), Path(output_path) / WEIGHTS)
        self.tokenizer.save(str(Path(output_path) / TOKENIZER))

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **_: Any) -> StaticEmbedding:  # type: ignore[override]
        """The table that the codes of a local folder stand for.

        Raises:
            BadInput: its arrays are not those of a compressed table.
        """
        folder = Path(model_name_or_path) / subfolder
        table = restored(load_file(folder / WEIGHTS)).decode()
        return StaticEmbedding(Tokenizer.from_file(str(folder / TOKENIZER)), embedding_weights=torch.from_numpy(table))
