"""The verb `search`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nearfar.cli import show
from nearfar.cli.options import AsJson, StorageOption, Task, refuse, storage_of
from nearfar.core.errors import BadInput
from nearfar.search.config import Mode

if TYPE_CHECKING:
    from nearfar.search.hits import Hit

NOTHING = "nothing found"
NO_ANSWER = "no good answer: the best score is below that from which answers of judged queries were right"


def search(
    run: Annotated[Path, typer.Argument(help="A run folder, or an index folder.")],
    question: Annotated[str | None, typer.Argument(help="What to look for.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of results.")] = 5,
    model: Annotated[str | None, typer.Option(help="Model to encode the question with, if not the run's own.")] = None,
    mode: Annotated[Mode, typer.Option(help="By vectors, by words (BM25 or --sparse), or by both.")] = "dense",
    sparse: Annotated[
        str | None, typer.Option(help="The index's sparse encoder; left out: where it was when the index was built.")
    ] = None,
    condition: Annotated[
        str, typer.Option("--filter", help='Condition on the metadata: \'year >= 2020 and lang in ("en", "de")\'.')
    ] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Say what made each score.")] = False,
    why_not: Annotated[str | None, typer.Option(help="Say where the document of this id is lost.")] = None,
    like: Annotated[list[str] | None, typer.Option(help="In the place of a question: like all of these texts.")] = None,
    unlike: Annotated[list[str] | None, typer.Option(help="And unlike these.")] = None,
    topic: Annotated[
        str | None, typer.Option(help="In the place of a question: keywords of a topic, with commas.")
    ] = None,
    rerank: Annotated[str | None, typer.Option(help="A cross-encoder that orders the first 100 documents.")] = None,
    abstain: Annotated[
        bool, typer.Option("--abstain", help="Say so where there is no good answer; learnt by nearfar index tune.")
    ] = False,
    weight: Annotated[
        float | None, typer.Option(help="Of the vectors in a hybrid search, 0 to 1; left out: the index's own.")
    ] = None,
    aggregate: Annotated[
        Literal["max", "mean"],
        typer.Option(help="In an index of passages: score of a document from theirs."),
    ] = "max",
    feedback: Annotated[int, typer.Option(min=0, help="Move the question towards so many of its best documents.")] = 0,
    size_bytes: Annotated[
        int | None, typer.Option("--bytes", help="Answer from codes of so many bytes, made by nearfar compress.")
    ] = None,
    rescore: Annotated[
        int | None, typer.Option(min=1, help="Rank so many documents that the codes choose by their full vectors.")
    ] = None,
    task: Task = "",
    storage: StorageOption = None,
    as_json: AsJson = False,
) -> None:
    """Ask an index a question.

    Examples: nearfar search run "how do I split a string"
    nearfar search index "late fees" --model run --mode hybrid --filter 'year >= 2020' --explain
    nearfar search run "late fees" --why-not doc17
    """
    from nearfar.search.config import SearchConfig
    from nearfar.search.index import Index

    _check_one({"a question": question, "--like": like, "--topic": topic})
    own = {"--why-not": why_not, "--abstain": abstain, "--explain": explain, "--task": task}  # of a question
    refuse({} if question else {**own, "--mode": mode != "dense"}, "--like or --topic", "ask a question for that")
    refuse({} if why_not is None else {"--explain": explain, "--abstain": abstain}, "--why-not", "leave it out")
    refuse({"--unlike": not like and unlike}, "what is not --like a text", "add --like")
    refuse({"--weight": weight is not None and mode != "hybrid"}, f"--mode {mode}", "add --mode hybrid")
    refuse({"--sparse": sparse and mode == "dense" and not explain}, "--mode dense", "add --mode lexical or hybrid")
    refuse({"--feedback": mode == "lexical" and feedback}, "--mode lexical", "leave it out")
    refuse({"--rerank": (like or topic or why_not is not None or abstain) and rerank}, "that", "ask a question alone")
    config = SearchConfig.parse({"weight": weight, "aggregate": aggregate, "feedback": feedback}, "search")
    index = Index.open(run, model, size_bytes=size_bytes, rescore=rescore, config=config, sparse=sparse,
                       storage=storage_of(storage))  # fmt: skip
    if like or topic:
        words = [word.strip() for word in (topic or "").split(",") if word.strip()]
        hits = (index.search_set(like, unlike or [], k, filter=condition) if like
                else index.search_topic(words, k, filter=condition))  # fmt: skip
        return _show(hits, {"like": like, "unlike": unlike, "topic": topic}, as_json=as_json)
    asked = str(question)
    if why_not is not None:
        said = index.why_not(asked, why_not, k, filter=condition, mode=mode)
        return typer.echo(show.json_line(asdict(said)) if as_json else f"{said.stage}: {said.said}")
    hits = index.search(asked, k, task=task, filter=condition, mode=mode, rerank=rerank, explain=explain)
    if abstain and not index.answers(hits, mode):
        return typer.echo(show.json_line({"query": asked, "answered": False, "hits": []}) if as_json else NO_ANSWER)
    return _show(hits, {"query": asked}, as_json=as_json)


def _check_one(given: dict[str, Any]) -> None:
    found = [name for name, value in given.items() if value]
    if len(found) != 1:
        what = "none" if not found else " and ".join(found)
        raise BadInput.at("question", expected="words, or --like, or --topic", found=what, do="write one of them")


def _show(hits: Sequence[Hit], asked: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return typer.echo(show.json_line({**asked, "hits": [asdict(hit) for hit in hits]}))
    return typer.echo("\n\n".join(show.hit(hit) for hit in hits) or NOTHING)
