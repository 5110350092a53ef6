"""A sparse matrix by rows: which texts hold which tokens, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class SparseRows:
    """Row i holds `values[offsets[i]:offsets[i + 1]]` at the `columns` of the same places.

    On a CPU compiled loops do the work, in fp32; elsewhere torch's own operations.
    """

    offsets: Tensor  # (rows + 1,) int64
    columns: Tensor  # (n,) int32
    values: Tensor  # (n,)

    @classmethod
    def means(cls, ids: Tensor, starts: Tensor, tokens: int) -> SparseRows:
        """Each token's share of its text, (texts, tokens).

        Args:
            ids: (T,) of all texts.
            starts: (texts,) where each of them begins.
            tokens: in the vocabulary.
        """
        if has_kernels(ids):
            from nearfar.encoder.token_kernels import means  # noqa: PLC0415  (numba takes a while to import)

            return cls(*map(torch.from_numpy, means(ids.numpy(), starts.numpy(), tokens)))
        offsets = torch.cat([starts.long(), starts.new_tensor([len(ids)], dtype=torch.long)])
        lengths = offsets.diff()
        return cls(offsets, ids.int(), lengths.float().reciprocal_().repeat_interleave(lengths))

    @classmethod
    def joined(cls, parts: Sequence[SparseRows]) -> SparseRows:
        """The rows of all parts, one after the other."""
        if len(parts) == 1:
            return parts[0]
        lengths = torch.cat([part.offsets.diff() for part in parts])
        offsets = functional.pad(lengths.cumsum(0), (1, 0))
        return cls(offsets, torch.cat([part.columns for part in parts]), torch.cat([part.values for part in parts]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def times(self, vectors: Tensor, out: Tensor) -> Tensor:
        """The product with `vectors` (columns, d), written to `out` (rows, d)."""
        if has_kernels(vectors) and vectors.dtype == out.dtype == torch.float32:
            from nearfar.encoder.token_kernels import product  # noqa: PLC0415

            arrays = (self.offsets.numpy(), self.columns.numpy(), self.values.numpy())
            product(arrays, vectors.numpy(), out.numpy(), torch.get_num_threads())
            return out
        starts = self.offsets[:-1].to(self.columns.dtype)
        values = self.values.to(vectors.dtype)
        sums = functional.embedding_bag(self.columns, vectors, starts, mode="sum", per_sample_weights=values)
        return out.copy_(sums)

    def transposed(self, columns: int) -> tuple[Tensor, SparseRows]:
        """The columns that hold anything, in rising order, and a matrix with these as its rows."""
        if has_kernels(self.columns):
            from nearfar.encoder.token_kernels import transposed  # noqa: PLC0415

            rows, entries = transposed(self.offsets.numpy(), self.columns.numpy(), self.values.numpy(), columns)
            return torch.from_numpy(rows), SparseRows(*map(torch.from_numpy, entries))
        ordered, order = torch.sort(self.columns, stable=True)
        found, counts = torch.unique_consecutive(ordered, return_counts=True)
        texts = torch.arange(len(self), dtype=torch.int32, device=order.device).repeat_interleave(self.offsets.diff())
        return found.long(), SparseRows(functional.pad(counts.cumsum(0), (1, 0)), texts[order], self.values[order])


def has_kernels(tensor: Tensor) -> bool:
    """Whether compiled loops reach the tensor's memory."""
    return tensor.device.type == "cpu"
