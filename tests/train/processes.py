"""Functions run by several processes that meet over gloo, and their results."""

from __future__ import annotations

import traceback

import torch
import torch.distributed as dist
from torch import multiprocessing

from nearfar.core.errors import Ended
from nearfar.train.distributed import joined

LIMIT_S = 120


def together(size, task, *arguments):
    """`task(workers, *arguments)` in `size` processes; their results by rank. The first error of one is raised."""
    found = outcomes(size, task, *arguments)
    for outcome in sorted(found, key=lambda outcome: isinstance(outcome, Ended)):
        if isinstance(outcome, Exception):
            raise outcome
    return found


def outcomes(size, task, *arguments):
    """The same with the exceptions that processes ended with as their results."""
    context = multiprocessing.get_context("spawn")
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    results = context.SimpleQueue()
    processes = [context.Process(target=_process, args=(store.port, rank, size, results, task, *arguments), daemon=True)
                 for rank in range(size)]  # fmt: skip
    for process in processes:
        process.start()
    found = dict(results.get() for _ in processes)
    for process in processes:
        process.join(LIMIT_S)
    return [found[rank] for rank in range(size)]


def _process(port, rank, size, results, task, *arguments):
    torch.set_num_threads(1)
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    try:
        with joined(store, rank, size, rank) as workers:
            result = task(workers, *arguments)
    except Exception as error:
        error.add_note(traceback.format_exc())
        result = error
    results.put((rank, result))
