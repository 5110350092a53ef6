"""Training runs killed, filled up and interrupted at every moment, gone on with, and held against one left alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "train"))  # `faults`: the tests run its short form

import measure

QUICK = ("static", "bert, all graphs kept")
WHOLE = ("static", "bert", "bert, some graphs kept", "bert, all graphs kept", "bert, bf16", "bert, accumulated",
         "bert, mined", "bert, queue")  # fmt: skip
KILLS, QUICK_KILLS = 30, 4


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--kills", type=int, help=f"kills at random moments of each case ({KILLS})")
    parser.add_argument("--cases", nargs="+", help="of those in tests/train/faults.py, minilm among them")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    kills = options.kills or (QUICK_KILLS if options.quick else KILLS)
    names = options.cases or (QUICK if options.quick else WHOLE)
    measure.finish(run(names, kills, quick=options.quick) | measure.facts(allocator), options.out)


def run(names: Sequence[str], kills: int, *, quick: bool) -> dict[str, Any]:
    """Disturb the runs of these cases; `kills` and `identical` count those that were killed."""
    import torch

    from faults import SAME_BITS, disturbed, same_bits  # imports torch, whose allocator is chosen before

    torch.set_num_threads(1)  # a fork has no threads but its own
    results = []
    for name in names:
        for result in disturbed(name, every=not quick and name != "minilm", kills=kills):
            results.append(result)
            measure.say(f"{name}, {result['fault']}: {result['identical']} of {result['trials']} {result['bad'] or ''}")
    killed = [result for result in results if result["fault"].startswith("kill")]
    others = [result for result in results if not result["fault"].startswith("kill")]
    measure.show("Runs that end with the same bits", [
        {"case": r["case"], "fault": r["fault"], "runs": r["trials"], "identical": r["identical"]} for r in results
    ])  # fmt: skip
    return {
        "kills": sum(result["trials"] for result in killed),
        "identical": sum(result["identical"] for result in killed),
        "others": sum(result["trials"] for result in others),
        "others_identical": sum(result["identical"] for result in others),
        "kept_graphs_change_no_bit": all(same_bits(*pair) for pair in SAME_BITS),
        "results": results,
    }


if __name__ == "__main__":
    main()
