"""Run folders as the page shows them, with texts that would be markup."""

import json
from dataclasses import asdict

import numpy as np

from nearfar.diagnose.finding import Finding, Fix, Threshold
from nearfar.report.kept import FINDINGS, PLAN, keep

HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">", "</script><script>document.title='owned'</script>",
    "<svg onload=document.title='owned'>", "javascript:document.title='owned'", "{{constructor.constructor('x')()}}",
    "<iframe srcdoc=\"<script>parent.document.title='owned'</script>\">", "\u202egnp.exe <b>bold</b> &lt;i&gt;",
)  # fmt: skip


def started(run):
    """A run as it is while it trains."""
    run.mkdir()
    curves = [{"step": step, "train/loss": 1 / step} for step in (1, 2, 3)]
    (run / "curves.jsonl").write_text("".join(json.dumps(line) + "\n" for line in curves))
    (run / "started.json").write_text(json.dumps({"curves": str(run / "curves.jsonl")}))


def measured(run, better):
    """A finished run with findings of hostile texts, a plan, and the scores of its queries."""
    rng = np.random.default_rng(0)
    queries, scores = np.arange(50), rng.random(50)
    (run / "data").mkdir(parents=True)
    np.savez(run / "data" / "per_query.npz", queries=queries,
             **{"model/ndcg@10": scores + better, "bm25/ndcg@10": scores})  # fmt: skip
    (run / "run.json").write_text(json.dumps({"verdict": "better", "metrics": {"model": {"ndcg@10": 0.5 + better}}}))
    rule = Threshold("spread", 0.8, 0.5, "a table")
    found = Finding("collapse", "fail", HOSTILE[0], {"spread": 0.2}, (rule,), ({"document": HOSTILE[1]},),
                    Fix({"train": {"temperature": 0.05}}, HOSTILE[2]))  # fmt: skip
    named = {"collapse": {"documents": ["d1", f"h0 {HOSTILE[0]}"], "queries": ["how is it done"]}}
    keep(run / FINDINGS, {"findings": [asdict(found)], "named": named})
    points = [{"codec": HOSTILE[3], "bytes": size, "retained_ndcg@10": 0.5 + size / 100, "interval": [0.4, 0.9],
               "codec_bytes": 9, "fit_seconds": 1, "ms_per_query": None, "frontier": True, "recommended": size == 8}
              for size in (8, 16)]  # fmt: skip
    full = {"bytes": 128, "ndcg@10": 0.5}
    keep(run / PLAN, {"points": points, "recommendation": HOSTILE[4], "run": "run", "planned_for": 10, "budget": 8,
                      "documents": 9, "chosen_on": 5, "queries": 6, "full": full})  # fmt: skip
