"""What becomes of requests when the service is told to end under load?"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # `measure` is shared, and benchmarks are not a package
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # of which the small model is

from load import answered, request

import measure

PORT, CLIENTS = 8360, 16
QUICK = {"tries": 5}
NAME = "small"


def main() -> None:
    parser = measure.parser(__doc__)
    parser.add_argument("--tries", type=int, default=100)
    options = measure.options(parser, QUICK)
    allocator = measure.choose_allocator(plain=options.plain_allocator)
    with tempfile.TemporaryDirectory() as folder:
        model = small_model(Path(folder))
        found = [asyncio.run(tried(model, number)) for number in range(options.tries)]
    total: Counter[str] = sum((counts for counts, _ in found), Counter())
    rows = [{"tries": len(found), **total, "slowest_exit_s": max(seconds for _, seconds in found)}]
    measure.show("Requests around a signal to end", rows)
    measure.finish({"rows": rows, **measure.facts(allocator)}, options.out)


def small_model(folder: Path) -> Path:
    """A token table, so that the service starts soon and many requests are under way."""
    from nearfar.encoder.save import save_encoder
    from tiny_models import tiny_static

    (folder / NAME).mkdir()
    save_encoder(tiny_static(), folder / NAME / "model", card="")
    return folder / NAME / "model"


async def tried(model: Path, number: int) -> tuple[Counter[str], float]:
    """Counts of requests by what became of them, and the seconds to the end, of one start and end."""
    process = subprocess.Popen([sys.executable, "-m", "nearfar", "serve", str(model), "--port", str(PORT)],
                               stdout=subprocess.DEVNULL)  # fmt: skip
    while not await open_now():
        if process.poll() is not None:
            raise SystemExit(f"the service ended: {process.returncode}")
        await asyncio.sleep(0.1)
    counts: Counter[str] = Counter()
    clients = [asyncio.create_task(client(kept=n % 2 == 0, counts=counts)) for n in range(CLIENTS)]
    await asyncio.sleep(0.5 + 0.013 * (number % 50))
    start = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - start
    await asyncio.gather(*clients)
    if process.returncode:
        counts["ended with an error"] += 1
    return counts, seconds


async def open_now() -> bool:
    """Whether the service can be reached."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", PORT)
    except OSError:
        return False
    writer.close()
    return True


async def client(*, kept: bool, counts: Counter[str]) -> None:
    """Requests without a pause, over one connection or over one for each, until none is accepted."""
    body = request(PORT, "/v1/embeddings", json.dumps({"model": NAME, "input": ["a text", "another"]}).encode())
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        except OSError:
            counts["refused"] += 1
            return
        try:
            while True:
                writer.write(body)
                said = await answered(reader)
                counts["answered" if said.status == 200 else f"status {said.status}"] += 1
                if said.closes or not kept:
                    break
        except (OSError, asyncio.IncompleteReadError):
            counts["lost"] += 1
        finally:
            writer.close()


if __name__ == "__main__":
    main()
