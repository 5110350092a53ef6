"""A faster precision answers where it finds the same, and not where it does not."""

from dataclasses import replace

import numpy as np
import pytest

from nearfar.encoder import parity
from nearfar.encoder.parity import Parity, agreed
from nearfar.encoder.precision import Policy
from tiny_models import sentences

TEXTS = sentences(40)
FAST = Policy(precision="bf16")


def test_agreement_is_that_of_a_loop():
    rng = np.random.default_rng(1)
    exact = rng.normal(size=(30, 8)).astype(np.float32)
    fast = exact + 0.1 * rng.normal(size=(30, 8)).astype(np.float32)
    found, shares = Parity.of(exact, fast), []
    for row in range(30):
        best = [
            {*sorted((n for n in range(30) if n != row), key=lambda n: -(v[n] @ v[row]))[:10]} for v in (exact, fast)
        ]
        shares.append(len(best[0] & best[1]) / 10)
    assert found.overlap == pytest.approx(np.mean(shares))
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(exact, fast, strict=True)]
    assert found.cosine == pytest.approx(min(cosines), abs=1e-6)
    assert not found.holds
    assert Parity.of(exact, exact).holds


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_vectors_that_find_others_are_not_served(tiny, monkeypatch, noise):
    real, rng = parity.encode, np.random.default_rng(0)

    def encode(encoder, texts, role, policy):
        vectors = real(encoder, texts, role, replace(policy, precision="fp32"))
        return vectors + (noise * rng.normal(size=vectors.shape) if policy.precision == "bf16" else 0)

    monkeypatch.setattr(parity, "encode", encode)
    chosen = agreed(tiny, TEXTS, FAST)
    assert chosen.precision == ("bf16" if noise == 0 else "fp32")
    assert "overlap" in chosen.reason


def test_what_is_exact_is_not_tried(tiny, static, monkeypatch):
    monkeypatch.setattr(parity, "encode", lambda *_: pytest.fail("encoded"))
    assert agreed(tiny, TEXTS, Policy()) == Policy()
    assert agreed(static, TEXTS, FAST) is FAST
