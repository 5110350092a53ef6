"""Do ten thousand requests made of the service's own description get the answers that it describes?"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import measure

PORT = 8300
QUICK = {"examples": 5}
WAIT_S = 120
# A filter has a grammar and token ids a range, which no schema tells; 503 is described, and other 5xx are counted.
EXCLUDED = "positive_data_acceptance,not_a_server_error"


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--run", type=Path, help="a run with an index; left out: a small one is made")
    parser.add_argument("--reranker", help="a cross-encoder; left out: a small one is made")
    parser.add_argument("--examples", type=int, default=700, help="of each path, in the phase of fuzzing")
    parser.add_argument("--seed", type=int, default=1)
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run = shutil.copytree(options.run, place / "run") if options.run else small(place / "run")
        process = served(run, place, options.reranker or small_reranker(place))
        try:
            row = asked(place, options)
            row["ended"] = process.poll() is not None
        finally:
            process.terminate()
            process.wait()
    measure.show("Requests made of the schema", [row])
    measure.finish({"rows": [row], **measure.facts(allocator)}, options.out)


def small(run: Path) -> Path:
    """A token table with an index of two hundred documents."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # of which the small model is
    from nearfar.encoder.save import save_encoder
    from nearfar.pipeline import indexing
    from tiny_models import sentences, tiny_static

    save_encoder(tiny_static(), run / "model", card="")
    lines = [{"_id": f"d{n}", "text": text, "year": 2000 + n % 20} for n, text in enumerate(sentences(200))]
    (run / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    indexing.build(str(run / "documents.jsonl"), run / "model", run / "index")
    return run


def small_reranker(place: Path) -> str:
    """A random cross-encoder of two layers."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    from nearfar.encoder.reranker import new_reranker, save_reranker
    from tiny_models import save_tiny_bert

    save_reranker(new_reranker(save_tiny_bert(place / "bert"), 64, 0), place / "reranker")
    return str(place / "reranker")


def served(run: Path, place: Path, reranker: str) -> subprocess.Popen[bytes]:
    """The service as a process, with all that it can do."""
    command = [sys.executable, "-m", "nearfar", "serve", str(run), "--port", str(PORT), "--allow-writes",
               "--judgments", str(place / "judged"), "--runs", str(place), "--reranker", reranker]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(WAIT_S * 5):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz").close()
        except OSError:
            time.sleep(0.2)
        else:
            return process
    raise SystemExit("the service did not start")


def asked(place: Path, options: argparse.Namespace) -> dict[str, object]:
    """What schemathesis sent and found."""
    report, events, start = place / "report.json", place / "events.ndjson", time.perf_counter()
    address, program = f"http://127.0.0.1:{PORT}/openapi.json", str(Path(sys.executable).with_name("st"))
    command = [program, "run", address, "--mode", "all", "--phases", "examples,coverage,fuzzing",
               "--max-examples", str(options.examples), "--seed", str(options.seed),
               "--exclude-checks", EXCLUDED, "--continue-on-failure", "--no-shrink", "--workers", "2",
               "--suppress-health-check", "all", "--report", "json,ndjson", "--report-json-path", str(report),
               "--report-ndjson-path", str(events)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    print(done.stdout[-6000:], file=sys.stderr)
    found = json.loads(report.read_text())
    statuses = Counter(re.findall(r'"status_code":\s*(\d+)', events.read_text()))
    inside = sum(count for status, count in statuses.items() if status >= "500" and status != "503")
    failures = [{name: one[name] for name in ("title", "count", "operations")} for one in found["failures"]]
    return {"cases": found["test_cases"]["generated"], "operations": found["operations"]["tested"],
            "seconds": time.perf_counter() - start, "statuses": dict(sorted(statuses.items())),
            "undocumented_5xx": inside, "failures": failures, "schemathesis": found["schemathesis_version"],
            "seed": found["seed"]}  # fmt: skip


if __name__ == "__main__":
    main()
