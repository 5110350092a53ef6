"""Sentence Transformers behind FastAPI, as its documentation and most guides put it together: PORT MODEL DTYPE."""

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from sentence_transformers import SentenceTransformer

port, folder, dtype = int(sys.argv[1]), sys.argv[2], sys.argv[3]
model = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": getattr(torch, dtype)})
app = FastAPI()


@app.post("/v1/embeddings")
def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """In a thread of the pool, as a function that is not async is."""
    vectors = model.encode(body["input"], batch_size=32, show_progress_bar=False).tolist()
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(vectors)]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 0, "total_tokens": 0}}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
