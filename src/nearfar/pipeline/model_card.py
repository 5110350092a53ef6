"""The card of a model that is shared: what it is made from, how good it is, what is wrong with it, how to open it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from nearfar.diagnose.finding import Finding
from nearfar.encoder.load import BASES, FRESH, HUB_NAME
from nearfar.encoder.needs import HEADING
from nearfar.encoder.runtimes import fits
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.data_card import CARD, without_rows
from nearfar.pipeline.evaluate import estimates
from nearfar.pipeline.report import NAMES
from nearfar.pipeline.run import Run
from nearfar.pipeline.settings_text import settings_text, without_path
from nearfar.report import kept
from nearfar.report.filters import words
from nearfar.report.markdown import escaped, fenced

TAGS = ("sentence-transformers", "sentence-similarity", "feature-extraction", "nearfar")
CODE = re.compile(r"```python\n(.*?)\n```", re.DOTALL)
PATH = re.compile(r"(?<!\S)(?:[/~]|[A-Za-z]:\\)\S+")
PLACE = "path/of/this/folder"  # in the code of a model folder's card
PLAIN = f'from sentence_transformers import SentenceTransformer\n\nmodel = SentenceTransformer("{PLACE}")'
TASK = "information-retrieval"
UNKNOWN_DATA = "unknown"  # the hub's word for a data set that it does not hold
NOT_ASKED = "It was not asked about this model."
SHOWN_EXAMPLES = 3  # of a finding


@dataclass(frozen=True)
class Sharing:
    """What a card says that no folder knows, and what it may say."""

    name: str  # OWNER/NAME
    languages: Sequence[str] = ()
    licence: str | None = None
    with_examples: bool = False
    with_index: bool = False


def model_card(folder: Path, run: Run | None, sharing: Sharing) -> str:
    """Text of a shared model's README.md; without a run it says how to open the model, and what its own card says.

    No text of the data is in it but with `sharing.with_examples`, and no path.

    Args:
        folder: of the model.
    """
    own = _read(folder / "README.md")
    body = _of_run(run, sharing) if run else {"verdict": _body(own, sharing), "data_name": ""}
    card = ModelCard.from_template(
        _front(run, sharing),
        template_str=resources.files("nearfar.pipeline").joinpath("model_card.md.j2").read_text(encoding="utf-8"),
        title=escaped(sharing.name.partition("/")[2]),
        commands=fenced(_commands(sharing), "sh"),
        opening=fenced(_opening(own, sharing), "python"),
        runtimes=[[escaped(fit.name), "yes" if fit.fits else "no", escaped(fit.why)] for fit in fits(folder)],
        needs=_needs(own) if run else "",
        **({"metrics": [], "comparisons": [], "findings": None, "data": "", "settings": ""} | body),
    )
    return str(card.content)


def _front(run: Run | None, sharing: Sharing) -> ModelCardData:
    config = FitConfig.parse(run.record["config"], "run") if run else None
    base = hub_name(config.base) if config else None
    data = hub_name(config.data.source) if config and config.data.source else None
    return ModelCardData(
        base_model=base,
        datasets=[data] if data else None,
        eval_results=_results(run, data) if run else None,
        language=list(sharing.languages) or None,
        library_name="sentence-transformers",
        license=sharing.licence,
        model_name=sharing.name.partition("/")[2],
        pipeline_tag="sentence-similarity",
        tags=list(TAGS),
    )


def _results(run: Run, data: str | None) -> list[EvalResult]:
    return [
        EvalResult(task_type=TASK, task_name="Information Retrieval", dataset_type=data or UNKNOWN_DATA,
                   dataset_name=run.record["data"]["name"], dataset_split="test", metric_type=name, metric_name=name,
                   metric_value=round(value, 4))
        for name, value in run.metrics["model"].items()
    ]  # fmt: skip


def hub_name(named: str) -> str | None:
    """What a base or data set is called on the hub; None for a folder or file here, and for a name without an owner."""
    if named in BASES:
        return BASES[named].hub
    return named if "/" in named and HUB_NAME.fullmatch(named) and not Path(named).exists() else None


def _of_run(run: Run, sharing: Sharing) -> dict[str, Any]:
    record, card = run.record, _read(run.path / "data" / CARD)
    data = (card if sharing.with_examples else without_rows(card)).partition("\n")[2].strip()  # without its heading
    return {
        "verdict": escaped(f"{run.verdict} {_origin(record['config']['base'])}"),
        "metrics": list(run.metrics["model"]),
        "systems": list(_systems(run)),
        "comparisons": [escaped(_comparison(name, values)) for name, values in record["comparisons"].items()],
        "data_name": escaped(record["data"]["name"]),
        "queries": f"{record['data']['queries']['test']:,}",
        "documents": f"{record['data']['documents']:,}",
        "data": data,
        "settings": fenced(settings_text(record["config"]), "yaml"),
        **_diagnosis(run, sharing),
    }


def _origin(base: str) -> str:
    return "It was trained from nothing." if base == FRESH else f"It was fine-tuned from {without_path(base)}."


def _systems(run: Run) -> Iterable[list[str]]:
    """A row for each system: its name, and every metric with its interval."""
    values = kept.scores(run.path)
    for system, means in run.metrics.items():
        found = estimates({metric: values[f"{system}/{metric}"] for metric in means})
        yield [NAMES[system], *(f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" for one in found.values())]


def _comparison(name: str, values: Mapping[str, float]) -> str:
    return (f"Against {NAMES[name]}, nDCG@10: {values['difference']:+.3f} (95 % interval {values['low']:+.3f} to "
            f"{values['high']:+.3f}); better for {values['wins']:,} queries, worse for {values['losses']:,}, "
            f"the same for {values['ties']:,}.")  # fmt: skip


def findings_of(run: Run) -> tuple[Finding, ...]:
    """The doctor's findings of this very model, as it leaves them in the run; none where it was not asked.

    Raises:
        BadInput: what it left cannot be read.
    """
    return kept.findings(run.path) if kept.found_in(run.path) == run.record["fingerprint"] else ()


def _diagnosis(run: Run, sharing: Sharing) -> dict[str, Any]:
    shown = SHOWN_EXAMPLES if sharing.with_examples else 0
    findings = [{"failure": escaped(words(one.failure)), "verdict": escaped(one.verdict),
                 "summary": escaped(one.summary),
                 "examples": [fenced(_example(example)) for example in one.examples[:shown]]}
                for one in findings_of(run)]  # fmt: skip
    said = "The five failures of contrastive training, looked for in this model:" if findings else NOT_ASKED
    return {"findings": findings, "diagnosis": said}


def _example(example: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in example.items())


def _commands(sharing: Sharing) -> str:
    name = sharing.name.partition("/")[2]
    search = f'\nnearfar search {name} "your question"' if sharing.with_index else ""
    return f"pip install 'nearfar[serve]'\nnearfar pull {sharing.name} --out {name}{search}\nnearfar serve {name}"


def _opening(own: str, sharing: Sharing) -> str:
    """The code of the folder's own card, with the name on the hub or the folder that is pulled in its place."""
    match = CODE.search(own)
    code = match[1] if match else PLAIN
    return code.replace(PLACE, sharing.name if "SentenceTransformer(" in code else _pulled(sharing))


def _pulled(sharing: Sharing) -> str:
    return sharing.name.partition("/")[2] + ("/model" if sharing.with_index else "")


def _needs(own: str) -> str:
    return HEADING + own.partition(HEADING)[2] if HEADING in own else ""


def _body(own: str, sharing: Sharing) -> str:
    """What a folder's own card says, without its front matter, heading, code and paths."""
    text = ModelCard(own, ignore_metadata_errors=True).text if own else ""
    text = CODE.sub("", re.sub(r"\A\s*# .*\n", "", text)).strip()
    text = PATH.sub(lambda found: without_path(found[0]), text)
    return text or f"An embedding model, {escaped(sharing.name)}."


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
