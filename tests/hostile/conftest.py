"""Good folders of every kind, and the process in which copies of them, made hostile, are opened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiny_models import save_tiny_bert, sentences, tiny_static

HERE = Path(__file__).parent


def saved_modules(folder, bert):
    from nearfar.encoder.load import load_encoder
    from nearfar.encoder.save import save_encoder

    save_encoder(load_encoder(bert), folder, card="")


def saved_reranker(folder, bert):
    from nearfar.encoder.reranker import new_reranker, save_reranker

    save_reranker(new_reranker(bert, 64, 0), folder)


def saved_multi(folder, bert):
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    modules = [Transformer(str(bert)), MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    MultiVectorEncoder(modules=modules, device="cpu").save(str(folder), create_model_card=False)


def saved_sparse(folder):
    from tiny_sparse import tiny_sparse

    tiny_sparse("splade", folder.parent / "splade")
    (folder.parent / "splade" / "model").rename(folder)


def saved_run(run):
    """A run with an index whose documents lie in cells, with codes of 8 bytes, beside it."""
    from nearfar.compress.codec import Sample
    from nearfar.compress.registry import fit
    from nearfar.core.artifact import identity
    from nearfar.encoder.save import save_encoder
    from nearfar.index.codes import CodedIndex, codes_path, write_codes
    from nearfar.index.config import IndexConfig
    from nearfar.index.generation import open_index
    from nearfar.pipeline import indexing

    save_encoder(tiny_static(), run / "model", card="")
    lines = [{"_id": f"d{n}", "text": text, "year": 2000 + n % 20} for n, text in enumerate(sentences(600))]
    (run / "documents.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = IndexConfig(exact_below=1, size_bytes=8, scanned=300, candidates=50)
    indexing.build(str(run / "documents.jsonl"), run / "model", run / "index", config=config)
    (run / "documents.jsonl").unlink()
    opened = open_index(run / "index")
    codec = fit("pq", Sample(opened.vectors, opened.vectors[:0]), 8)
    coded = CodedIndex("pq", codec, codec.encode(opened.vectors), opened.fingerprint, identity(run / "index", "index"))
    write_codes(codes_path(run / "index", 8), coded, {})


@pytest.fixture(scope="package")
def good(tmp_path_factory):
    """Folders that open, by what opens them."""
    from nearfar.encoder.save import save_encoder

    place = tmp_path_factory.mktemp("good")
    bert = save_tiny_bert(place / "bare")
    saved_modules(place / "modules", bert)
    save_encoder(tiny_static(), place / "static", card="")
    saved_reranker(place / "reranker", bert)
    saved_multi(place / "multi", bert)
    saved_sparse(place / "sparse")
    (place / "config").mkdir()
    (place / "run").mkdir()
    saved_run(place / "run")
    return place


@pytest.fixture(scope="package")
def texts_run(tmp_path_factory):
    """A run whose every document is hostile, to be read or copied."""
    from serving_texts import built

    return built(tmp_path_factory.mktemp("hostile"))


class Watcher:
    """The process that opens folders; another is started where one ends."""

    def __init__(self, warm: dict[str, str]) -> None:
        self.warm, self.process = warm, None

    def ask(self, question: dict) -> dict:
        if self.process is None:
            command = [sys.executable, str(HERE / "worker.py")]
            path = os.pathsep.join([*sys.path, str(HERE)])
            online = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "0"}  # where an attempt to connect is seen
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=online
            )
            self._told({"warm": self.warm})
        return self._told(question)

    def _told(self, question: dict) -> dict:
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code, self.process = self.process.wait(), None
        return {
            "code": code,
            "out": "",
            "err": f"the process ended with {code}",
            "seen": [],
            "seconds": 0,
            "grown_kb": 0,
        }


@pytest.fixture(scope="package")
def watcher(good):
    warm = {
        "encoder": "bare",
        "reranker": "reranker",
        "multi": "multi",
        "sparse": "sparse",
        "hybrid": "run",
        "codes": "run",
    }
    made = Watcher({opens: str(good / folder) for opens, folder in warm.items()})
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()
