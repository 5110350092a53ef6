"""Sentence Transformers behind FastAPI, as its documentation and most guides have it.

PORT MODEL DTYPE TOGETHER PROCESSES: TOGETHER is how many requests may be in the model at once (FastAPI's pool has 40
threads); PROCESSES share the cores.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from sentence_transformers import SentenceTransformer

port, folder, dtype, together, processes = int(sys.argv[1]), sys.argv[2], sys.argv[3], *map(int, sys.argv[4:6])
torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
if __name__ != "__main__":  # each worker's own
    model = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
app, turn = FastAPI(), threading.Semaphore(together)


@app.post("/v1/embeddings")
def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """In a thread of the pool, as a function that is not async is."""
    with turn:
        vectors = model.encode(body["input"], batch_size=32, show_progress_bar=False).tolist()
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 0, "total_tokens": 0}}


if __name__ == "__main__":
    uvicorn.run("peer:app", host="127.0.0.1", port=port, log_level="warning", workers=processes,
                app_dir=str(Path(__file__).parent))  # fmt: skip
