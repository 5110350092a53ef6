"""Changes of an index that are killed or meet a broken disk, damaged files, and readers beside a writer."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "index"))  # `index_faults`: the tests run its short form

import measure

KILLS, QUICK_KILLS = 100, 3  # of each operation, at random moments
STEP, QUICK_STEP = 1, 60  # every so many of the moments at which the disk fails
DAMAGES, QUICK_DAMAGES = 1000, 60
READER_S, QUICK_READER_S = 60.0, 8.0
DOCUMENTS, QUICK_DOCUMENTS, DIMENSION = 100_000, 25_000, 384
REOPENED = 5


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--parts", nargs="+", default=[*PARTS], choices=PARTS)
    parser.add_argument("--reopen", type=Path, help=argparse.SUPPRESS)  # the fresh process
    options = parser.parse_args()
    if options.reopen:
        measure.finish(reopened(options.reopen), None)
        return
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    result = measure.earlier(options.out, {"minutes": {}})
    for name in options.parts:
        seconds, found = measure.timed(lambda name=name: PARTS[name](quick=options.quick))
        result |= {name: found}
        result["minutes"][name] = seconds / 60
        if options.out:  # a part that has ended stays
            measure.write(result, options.out)
    measure.finish(result | measure.facts(allocator), options.out)


def kills(*, quick: bool) -> dict[str, Any]:
    """Each operation killed at random moments."""
    from index_faults import World, random_kills, worker

    with tempfile.TemporaryDirectory() as place, worker(Path(place)) as own:
        world = World.of(Path(place), own)
        found = {name: random_kills(world, name, QUICK_KILLS if quick else KILLS) for name in world.whole}
        rows = [{"operation": name, **counted(f"kill, {name}", one)} for name, one in found.items()]
        seconds = {name: one["seconds"] for name, one in world.whole.items()}
    measure.show("Killed at random moments", [{k: row[k] for k in ("operation", "trials", "good")} for row in rows])
    return {"rows": rows, "answers_meanwhile": world.answers, "seconds_undisturbed": seconds}


def disk(*, quick: bool) -> dict[str, Any]:
    """Each operation with one call that fails, at every call."""
    from index_faults import World, every_moment, worker

    step, rows = QUICK_STEP if quick else STEP, []
    with tempfile.TemporaryDirectory() as place, worker(Path(place)) as own:
        world = World.of(Path(place), own)
        for name in [name for name in world.whole if name != "gc"]:
            for fault in ("ENOSPC", "EIO"):
                found = every_moment(world, name, fault, step)
                rows.append({"operation": name, "fault": fault, **counted(f"{fault}, {name}", found)})
    measure.show("Calls that fail", [{k: row[k] for k in ("operation", "fault", "trials", "good")} for row in rows])
    return {"rows": rows, "answers_meanwhile": world.answers}


def counted(title: str, found: Mapping[str, str]) -> dict[str, Any]:
    bad = {moment: problem for moment, problem in found.items() if problem}
    measure.say(f"{title}: {len(found) - len(bad)} of {len(found)} {bad or ''}")
    return {"trials": len(found), "good": len(found) - len(bad), "bad": bad}


def damage(*, quick: bool) -> dict[str, Any]:
    """Bits flipped and files cut short, in an index with much to collect and in one where nothing is left to."""
    import lance
    from fault_worker import start
    from index_damage import damaged

    from nearfar.index.location import TABLE
    from nearfar.index.writer import collect

    count, result = QUICK_DAMAGES if quick else DAMAGES, {}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "index"
        start(path)
        lance.dataset(path / TABLE).delete("id = 'd1'")  # of a process that was stopped
        for when in ("before gc", "after gc"):
            found = list(damaged(path, count))
            kinds = Counter(f"{'named' if one.named else 'not named'}, {one.outcome}" for one in found)
            result[when] = {"trials": count, "files": len({one.file for one in found}), **kinds}
            measure.say(f"damage {when}: {result[when]}")
            collect(path)
    return result


def readers(*, quick: bool) -> dict[str, Any]:
    """Two processes that open an index all the time while a third changes it, and is killed now and then."""
    from fault_worker import OPERATIONS, start

    from index_faults import HERE, Fault, worker

    draw, killed, done = random.Random(0), 0, 0
    with tempfile.TemporaryDirectory() as place, worker(Path(place)) as own:
        path, stop = Path(place) / "index", Path(place) / "stop"
        start(path)
        command = [sys.executable, str(HERE / "fault_reader.py"), str(path), str(stop)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        begun = all(reader.stdout.readline() == "begun\n" for reader in both)
        end = time.monotonic() + (QUICK_READER_S if quick else READER_S)
        while begun and time.monotonic() < end:
            fault = Fault(after_s=draw.uniform(0, 0.3)) if draw.random() < 0.5 else Fault()
            outcome = own.run(draw.choice([name for name in OPERATIONS if name != "build"]), path, fault)
            killed, done = killed + (outcome["status"] < 0), done + (outcome["status"] == 0)
        stop.touch()
        said = [(reader.communicate()[0], reader.returncode) for reader in both]
    result = {"failed": sum(status != 0 for _, status in said), "changes": done, "killed": killed,
              "readers": [json.loads(text) for text, status in said if not status]}  # fmt: skip
    measure.say(f"readers: {result}")
    return result


def reopening(*, quick: bool) -> dict[str, Any]:
    """Seconds in which a fresh process opens an index of random vectors after a change that was never made visible."""
    import numpy as np
    import pyarrow as pa

    from nearfar.index.generation import Documents, write_index
    from nearfar.index.location import TABLE
    from nearfar.index.table import column_of, schema_of

    count = QUICK_DOCUMENTS if quick else DOCUMENTS
    with tempfile.TemporaryDirectory() as place:
        path, made = Path(place) / "index", np.random.default_rng(0).standard_normal((count, DIMENSION), np.float32)
        ids = [str(number) for number in range(count)]
        texts = [f"document {key} of so many" for key in ids]
        built, _ = measure.timed(lambda: write_index(path, Documents(ids, texts, made), fingerprint="f",
                                                     similarity="dot"))  # fmt: skip
        import lance

        changes = pa.table([pa.array(ids[:100]), pa.array(texts[:100]), column_of(made[:100])],
                           schema=schema_of(DIMENSION))  # fmt: skip
        lance.dataset(path / TABLE).insert(changes)  # and not made visible
        samples = [measure.in_fresh_process(__file__, "--reopen", str(path)) for _ in range(REOPENED)]
    figures = {key: measure.median(samples, key) for key in samples[0]}
    measure.say(f"reopening {count:,} documents: {figures}")
    return {"documents": count, "dimension": DIMENSION, "build_seconds": built, **figures,
            "longest_open_seconds": max(sample["open_seconds"] for sample in samples)}  # fmt: skip


def reopened(path: Path) -> dict[str, float]:
    import numpy as np

    imported, modules = measure.timed(lambda: __import__("nearfar.index.writer", fromlist=["open_index", "changing"]))
    opened, index = measure.timed(lambda: modules.open_index(path))
    query = np.ones((1, index.table.dimension), np.float32)
    first, _ = measure.timed(lambda: index.search(query, 10, "f"))

    def written() -> None:
        with modules.changing(path):
            pass

    return {"import_seconds": imported, "open_seconds": opened, "first_search_seconds": first,
            "open_to_write_seconds": measure.timed(written)[0], "documents_found": len(index)}  # fmt: skip


PARTS = {"damage": damage, "reopening": reopening, "readers": readers, "kills": kills, "disk": disk}

if __name__ == "__main__":
    main()
