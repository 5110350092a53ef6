"""What every benchmark needs: options, facts about the machine, interleaved samples, a table and a JSON line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

PACKAGES = ("nearfar", "torch", "sentence-transformers", "transformers", "tokenizers", "numpy")
ALLOCATOR = "THP_MEM_ALLOC_ENABLE"  # huge pages for torch's tensors; torch reads it once

GIB = 2**30
QUICK_S = 165  # leaves a margin to the three minutes of --quick
START = time.perf_counter()

Sample = Mapping[str, float]


def parser(purpose: str) -> argparse.ArgumentParser:
    """The options of every benchmark."""
    options = argparse.ArgumentParser(description=purpose)
    options.add_argument("--quick", action="store_true", help="a small sample, within three minutes on 2 cores")
    options.add_argument("--repeats", type=int, default=3, help="interleaved repeats, of which medians are taken")
    options.add_argument("--plain-allocator", action="store_true", help=f"both sides without {ALLOCATOR}=1")
    options.add_argument("--out", type=Path, help="also write the JSON here")
    return options


def options(given: argparse.ArgumentParser, quick: Mapping[str, Any]) -> argparse.Namespace:
    """The options as they were given; with --quick, `quick` are the defaults."""
    found = given.parse_args()
    if not found.quick:
        return found
    given.set_defaults(**quick)
    return given.parse_args()


def choose_allocator(*, plain: bool) -> str:
    """Set the allocator of this process, before torch is imported; returns its name."""
    if "torch" in sys.modules:
        raise RuntimeError("expected torch not to be imported yet, found it loaded; choose the allocator first")
    os.environ[ALLOCATOR] = "0" if plain else "1"
    return "default" if plain else "huge pages"


def facts(allocator: str) -> dict[str, Any]:
    """Versions, hardware and date of a measurement."""
    import torch  # the allocator is chosen before

    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "commit": _commit(),
        "hardware": {
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "load_average": [round(value, 2) for value in os.getloadavg()],
        },
        "allocator": allocator,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source tree"


def _commit() -> str:
    """The commit measured, "+" where files differed from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    changed = subprocess.run([*git, "status", "--porcelain", "../src"], capture_output=True, check=False).stdout
    return head.strip() + ("+" if changed else "")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def interleaved(
    sides: Mapping[str, Callable[[], Sample]], repeats: int, limit_s: float | None = None
) -> dict[str, list[Sample]]:
    """Samples of each side, taken in turns, so that a slow minute of the machine meets all of them.

    With `limit_s`, no further round is begun when one as long as the last would end later than that after the start of
    the program.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for repeat in range(repeats):
        start = time.perf_counter()
        for name, side in sides.items():
            samples[name].append(side())
            say(f"repeat {repeat + 1}/{repeats}, {name}: {samples[name][-1]['seconds']:.2f} s")
        now = time.perf_counter()
        if limit_s and now - START + now - start > limit_s and repeat + 1 < repeats:
            say(
                f"stopping after {repeat + 1} of {repeats} repeats: the machine is too busy for more in {limit_s:.0f} s"
            )
            break
    return samples


def median(samples: Sequence[Sample], key: str) -> float:
    """Median of one quantity over the samples of a side."""
    return statistics.median(sample[key] for sample in samples)


def spread(samples: Sequence[Sample], key: str = "seconds") -> float:
    """(highest − lowest) / median."""
    values = [sample[key] for sample in samples]
    return (max(values) - min(values)) / statistics.median(values)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds a call takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def resident(field: str) -> float:
    """Bytes that this process has in memory (`VmRSS`), or has had at most (`VmHWM`); Linux."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024.0 for line in lines if line.startswith(field))


def in_fresh_process(script: str, *arguments: str) -> dict[str, Any]:
    """The JSON line that a benchmark ends with, where nothing was allocated before."""
    done = subprocess.run([sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def say(line: str) -> None:
    """One line of progress on standard error."""
    print(line, file=sys.stderr, flush=True)


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table on standard error; the first row names the columns."""
    table = Table(title=title)
    for i, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(stderr=True, width=120).print(table)


def finish(result: Mapping[str, Any], out: Path | None) -> None:
    """Write the result to `out`, and print it as the last line of standard output."""
    if out:
        write(result, out)
    print(json.dumps(_rounded(result), ensure_ascii=False), flush=True)


def write(result: Mapping[str, Any], out: Path) -> None:
    """Write a result, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}")
    scratch.write_text(json.dumps(_rounded(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    scratch.replace(out)


def earlier(out: Path | None, empty: Mapping[str, Any]) -> dict[str, Any]:
    """The result that an earlier run left in `out`, to go on from; `empty` where there is none."""
    return json.loads(out.read_text(encoding="utf-8")) if out and out.exists() else dict(empty)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
