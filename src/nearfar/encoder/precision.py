"""Which device, precision and micro-batch size to compute with: probed once, said, and open to be overruled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch

from nearfar.core.errors import BadInput

Precision = Literal["fp32", "bf16"]

PROBE = (1024, 384, 1536)  # the shape of a small encoder's largest product
GAIN = 1.3  # bf16 must be this much faster than fp32 to be worth its rounding
CPU_BUDGET_TOKENS = 1024  # measured: 768 to 1536 differ by less than the machine's noise, 512 is slower (LOG.md)
GPU_BUDGET_TOKENS = 32_768


@dataclass(frozen=True)
class Policy:
    """How to compute: on which device, in which precision, how many padded tokens at a time.

    Weights, pooling, normalisation and loss are fp32 always; `precision` is that of the transformer's products, or of
    the loss's products when the encoder is a token table.
    """

    device: str = "cpu"
    precision: Precision = "fp32"
    budget_tokens: int = CPU_BUDGET_TOKENS
    keep_bytes: int = 0  # activations kept between forward and backward instead of computed again
    reason: str = "as given"
    cache_casts: bool = True  # keep the weights' bf16 copies for a whole step

    @property
    def autocast(self) -> torch.autocast:
        """Context in which the transformer runs."""
        return torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.precision == "bf16",
                              cache_enabled=self.cache_casts)  # fmt: skip

    @property
    def full_precision(self) -> torch.autocast:
        """Context in which everything else runs."""
        return torch.autocast(self.device.split(":")[0], enabled=False)


def choose_policy(device: str | None = None, precision: Precision | None = None, budget_tokens: int = 0) -> Policy:
    """Fill in what was left open: the fastest device, bf16 where it is measured to gain, a budget that suits them.

    Raises:
        BadInput: the named device is not there.
    """
    chosen = device or best_device()
    check_device(chosen)
    probed, reason = (precision, "as given") if precision else probe(chosen)
    default = CPU_BUDGET_TOKENS if chosen == "cpu" else GPU_BUDGET_TOKENS
    return Policy(chosen, probed, budget_tokens or default, reason=reason)


def best_device() -> str:
    """CUDA, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def check_device(device: str) -> None:
    """Raise BadInput unless tensors can be made on `device`."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        found = str(error).splitlines()[0]
        raise BadInput.at(
            f"device '{device}'", expected="a device of this machine", found=found, do="use cpu"
        ) from None


@cache
def probe(device: str) -> tuple[Precision, str]:
    """Return the precision that gains on `device`, and the measurement in words; measured once in a process."""
    if device == "mps":
        return "fp32", "bf16 autocast is not relied on there"
    if device.startswith("cuda"):
        capable = torch.cuda.is_bf16_supported()
        return ("bf16", "the device supports it") if capable else ("fp32", "the device has no bf16")
    full, half = gflops(torch.float32), gflops(torch.bfloat16)
    measured = f"matrix products: bf16 {half:.0f}, fp32 {full:.0f} GFLOP/s"
    return ("bf16" if half > GAIN * full else "fp32"), measured


def gflops(dtype: torch.dtype, repeats: int = 24) -> float:
    """Measured speed of this CPU's matrix products, best of `repeats`."""
    rows, inner, columns = PROBE
    a, b = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)
    fastest = min(_seconds(a, b) for _ in range(repeats))
    return 2 * rows * inner * columns / fastest / 1e9


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    start = time.perf_counter()
    torch.matmul(a, b)
    return time.perf_counter() - start
