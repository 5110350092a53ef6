"""Texts a second of nearfar's encoding against `SentenceTransformer.encode`, and how close the vectors are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import numpy as np
from numpy.typing import NDArray

import measure
from measure import Sample, median, spread, timed

if TYPE_CHECKING:  # imports torch, which reads the allocator's setting when it starts
    from sentence_transformers import SentenceTransformer

TEXTS, QUICK_TEXTS, WARM_UP_TEXTS = 1000, 200, 16
COSINE_NEEDED = 0.998
OURS = "nearfar"


@dataclass(frozen=True)
class Setting:
    """How `SentenceTransformer.encode` is called; the defaults are its own."""

    precision: str = "fp32"  # fp32; bf16: weights in bf16; autocast: fp32 weights under bf16 autocast
    batch_size: int = 32

    @property
    def name(self) -> str:
        """The setting in a few words."""
        return f"peer {self.precision}, batch {self.batch_size}"


DEFAULTS = Setting()
SWEEP = tuple(Setting(precision, size) for precision in ("fp32", "bf16", "autocast") for size in (8, 16, 32, 64, 128))
BEST = (Setting("bf16", 8), Setting("bf16", 16))  # the fastest of the committed sweep, for --quick


class Peer:
    """One SentenceTransformer for each kind of weights."""

    def __init__(self) -> None:
        self.models: dict[str, SentenceTransformer] = {}

    def model(self, precision: str) -> SentenceTransformer:
        """The model with weights in this precision, in evaluation mode."""
        from nearfar.encoder.load import load_encoder

        kind = "bf16" if precision == "bf16" else "fp32"
        if kind not in self.models:
            model = load_encoder("minilm").model.eval()
            self.models[kind] = model.bfloat16() if kind == "bf16" else model
        return self.models[kind]

    def encode(self, texts: Sequence[str], setting: Setting) -> NDArray[np.float32]:
        """Its vectors of these texts."""
        import torch

        with torch.autocast("cpu", torch.bfloat16, enabled=setting.precision == "autocast"):
            vectors = self.model(setting.precision).encode(
                list(texts), batch_size=setting.batch_size, show_progress_bar=False
            )
        return np.asarray(vectors, np.float32)


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--texts", type=int, help=f"documents ({TEXTS}, or {QUICK_TEXTS} with --quick)")
    options = parser.parse_args()
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    result = run(options) | measure.facts(allocator)
    measure.finish(result, options.out)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both sides; the peer's best settings are those of its sweep, or with --quick of the committed one."""
    texts = documents_of_stdlib(options.texts or (QUICK_TEXTS if options.quick else TEXTS))
    peer, ours, policy = Peer(), *nearfar_encode()
    reference = peer.encode(texts, DEFAULTS)
    swept = [] if options.quick else sweep(peer, texts, reference)
    best = [Setting(**row["setting"]) for row in swept[:2]] if swept else BEST
    settings = tuple(dict.fromkeys((DEFAULTS, *best)))
    encoders: dict[str, Callable[[Sequence[str]], NDArray[np.float32]]] = {OURS: ours}
    encoders |= {setting.name: partial(peer.encode, setting=setting) for setting in settings}
    for encode in encoders.values():
        encode(texts[:WARM_UP_TEXTS])
    ours(texts)  # in full: the allocator's pages are part of the steady state
    sides = {name: partial(sample, encode, texts, reference) for name, encode in encoders.items()}
    samples = measure.interleaved(sides, options.repeats, limit_s=measure.QUICK_S if options.quick else None)
    result = figures(samples, settings, len(texts))
    report(result)
    return result | {"sweep": swept, "seconds": {k: [s["seconds"] for s in v] for k, v in samples.items()}} | policy


def documents_of_stdlib(count: int) -> list[str]:
    """Documents of the standard library, drawn with a seed."""
    from nearfar.data.stdlib import stdlib_dataset

    texts = stdlib_dataset(seed=0).documents.texts
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:count]]


def nearfar_encode() -> tuple[Callable[[Sequence[str]], NDArray[np.float32]], dict[str, Any]]:
    """Nearfar's encoding with what it chooses on this machine, and that choice; every call tokenises anew."""
    from nearfar.encoder.encode import encode
    from nearfar.encoder.load import load_encoder
    from nearfar.encoder.precision import choose_policy

    encoder, policy = load_encoder("minilm"), choose_policy("cpu")
    facts = {"policy": {name: str(value) for name, value in vars(policy).items()}}
    return (lambda texts: encode(encoder, texts, "document", policy)), facts


def sample(
    encode: Callable[[Sequence[str]], NDArray[np.float32]], texts: Sequence[str], reference: NDArray[np.float32]
) -> Sample:
    """Time one encoding of all texts, and compare its vectors with the peer's in fp32."""
    seconds, vectors = timed(lambda: encode(texts))
    cosines = cosine(vectors, reference)
    return {"seconds": seconds, "min_cosine": float(cosines.min()), "mean_cosine": float(cosines.mean())}


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row of `a` with the same row of `b`."""
    dots = np.einsum("nd,nd->n", a, b, dtype=np.float64)
    return dots / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def sweep(peer: Peer, texts: Sequence[str], reference: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Every setting twice, the faster time of each, fastest first."""
    rows = []
    for setting in SWEEP:
        encode = partial(peer.encode, setting=setting)
        encode(texts[:WARM_UP_TEXTS])
        taken = min((sample(encode, texts, reference) for _ in range(2)), key=lambda s: s["seconds"])
        rows.append({"name": setting.name, "texts_per_s": len(texts) / taken["seconds"],
                     "min_cosine": taken["min_cosine"], "setting": asdict(setting)})  # fmt: skip
        measure.say(f"sweep, {setting.name}: {rows[-1]['texts_per_s']:.1f} texts/s")
    rows.sort(key=lambda row: -row["texts_per_s"])
    measure.show("The peer's settings", [{k: v for k, v in row.items() if k != "setting"} for row in rows])
    return rows


def figures(samples: Mapping[str, Sequence[Sample]], settings: Sequence[Setting], texts: int) -> dict[str, Any]:
    """Speeds, ratios and cosines out of the samples."""
    speeds = {name: texts / median(rows, "seconds") for name, rows in samples.items()}
    best = max(settings, key=lambda setting: speeds[setting.name])
    lowest = min(s["min_cosine"] for s in samples[OURS])
    return {
        "ratio_default": speeds[OURS] / speeds[DEFAULTS.name],
        "ratio_best": speeds[OURS] / speeds[best.name],
        "min_cosine": lowest,
        "mean_cosine": median(samples[OURS], "mean_cosine"),
        "cosine_holds": lowest >= COSINE_NEEDED,
        "texts": texts,
        "texts_per_s": speeds,
        "spread": {name: spread(rows) for name, rows in samples.items()},
        "min_cosines": {name: min(s["min_cosine"] for s in rows) for name, rows in samples.items()},
        "best_setting": asdict(best),
    }


def report(result: Mapping[str, Any]) -> None:
    """Show the comparison as a table."""
    ours = result["texts_per_s"][OURS]
    rows = [
        {
            "side": name,
            "texts/s": speed,
            "spread": f"{result['spread'][name]:.0%}",
            "lowest cosine to fp32": f"{result['min_cosines'][name]:.5f}",
            "nearfar is": f"{ours / speed:.2f}×",
        }
        for name, speed in result["texts_per_s"].items()
    ]
    measure.show(f"Encoding {result['texts']} documents", rows)


if __name__ == "__main__":
    main()
