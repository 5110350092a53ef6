"""nearfar: embedding models for retrieval, trained by contrast."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nearfar.pipeline.certify import certify
    from nearfar.pipeline.compare import compare_systems as compare
    from nearfar.pipeline.compress import compress
    from nearfar.pipeline.compress_table import compress_table
    from nearfar.pipeline.compress_train import compress_train
    from nearfar.pipeline.config import FitConfig
    from nearfar.pipeline.doctor import diagnose
    from nearfar.pipeline.doctor_codes import diagnose_codes
    from nearfar.pipeline.evaluate import evaluate
    from nearfar.pipeline.fit import fit
    from nearfar.pipeline.frontier import plan
    from nearfar.pipeline.merge import merge
    from nearfar.pipeline.mine import mine
    from nearfar.pipeline.mteb_tasks import evaluate_mteb
    from nearfar.pipeline.probes import evaluate_classification, evaluate_clustering, evaluate_sts
    from nearfar.pipeline.pull import pull
    from nearfar.pipeline.push import push
    from nearfar.pipeline.rerank import rerank_train
    from nearfar.pipeline.run import Run
    from nearfar.pipeline.teach import teach
    from nearfar.pipeline.tune import tune
    from nearfar.search.index import Index

__version__ = "0.1.0"
__all__ = [
    "FitConfig",
    "Index",
    "Run",
    "__version__",
    "certify",
    "compare",
    "compress",
    "compress_table",
    "compress_train",
    "diagnose",
    "diagnose_codes",
    "evaluate",
    "evaluate_classification",
    "evaluate_clustering",
    "evaluate_mteb",
    "evaluate_sts",
    "fit",
    "merge",
    "mine",
    "plan",
    "pull",
    "push",
    "rerank_train",
    "teach",
    "tune",
]

_OTHER_NAMES = {"compare": "compare_systems"}  # `compare` of `evaluate.statistics` takes scores, not systems

# Looked up at first use: importing nearfar must not import torch.
_HOMES = {
    "FitConfig": "nearfar.pipeline.config",
    "Index": "nearfar.search.index",
    "Run": "nearfar.pipeline.run",
    "certify": "nearfar.pipeline.certify",
    "compare": "nearfar.pipeline.compare",
    "compress": "nearfar.pipeline.compress",
    "compress_table": "nearfar.pipeline.compress_table",
    "compress_train": "nearfar.pipeline.compress_train",
    "diagnose": "nearfar.pipeline.doctor",
    "diagnose_codes": "nearfar.pipeline.doctor_codes",
    "evaluate": "nearfar.pipeline.evaluate",
    "evaluate_classification": "nearfar.pipeline.probes",
    "evaluate_clustering": "nearfar.pipeline.probes",
    "evaluate_mteb": "nearfar.pipeline.mteb_tasks",
    "evaluate_sts": "nearfar.pipeline.probes",
    "fit": "nearfar.pipeline.fit",
    "merge": "nearfar.pipeline.merge",
    "mine": "nearfar.pipeline.mine",
    "plan": "nearfar.pipeline.frontier",
    "pull": "nearfar.pipeline.pull",
    "push": "nearfar.pipeline.push",
    "rerank_train": "nearfar.pipeline.rerank",
    "teach": "nearfar.pipeline.teach",
    "tune": "nearfar.pipeline.tune",
}


class _Package(ModuleType):
    """Keeps functions like `nearfar.evaluate`: importing a room of that name would put the module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nearfar' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), _OTHER_NAMES.get(name, name))
