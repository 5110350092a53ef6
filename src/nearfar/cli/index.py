"""The verb `index`: indexes of documents."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearfar.cli import show, show_search
from nearfar.cli.complete import codecs
from nearfar.cli.options import AsJson, StorageOption, refuse, storage_of
from nearfar.core.errors import BadInput

if TYPE_CHECKING:
    from nearfar.pipeline.indexing import Changed

app = typer.Typer(help="Indexes of documents.", no_args_is_help=True, rich_markup_mode=None)

Place = Annotated[Path, typer.Argument(metavar="INDEX", help="An index folder, or a run.")]
Documents = Annotated[
    str, typer.Option("--data", help="JSON lines, CSV, TSV, Parquet, a BEIR folder, or - for standard input.")
]
Model = Annotated[str | None, typer.Option(help="The index's model: a run, a folder, a hub name; left out: its run's.")]
Sparse = Annotated[
    str | None, typer.Option(help="The index's sparse encoder; left out: where it was when the index was built.")
]


@app.command("build")
def build(
    model: Annotated[str, typer.Option(help="The model to encode with: a run, a model folder, a hub name.")],
    data: Annotated[
        str | None, typer.Option(help="JSON lines, CSV, TSV, Parquet, a BEIR folder, or - for standard input.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="A run or index whose documents are encoded again.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Index folder to write.")] = Path("index"),
    passages: Annotated[
        int | None, typer.Option(min=1, help="Cut documents along their structure into passages of so many tokens.")
    ] = None,
    sparse: Annotated[
        str | None,
        typer.Option(help="A sparse encoder (SPLADE), folder or hub name: its weights take the place of BM25's."),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="Codec of the codes in memory, one with codebooks.", autocompletion=codecs)
    ] = None,
    size_bytes: Annotated[int | None, typer.Option("--bytes", help="Bytes of a code, at most.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the index in --out.")] = False,
    table: Annotated[
        str | None, typer.Option(metavar="URL", help="Keep texts, metadata and vectors there: s3://bucket/docs.")
    ] = None,
    storage: StorageOption = None,
    as_json: AsJson = False,
) -> None:
    """Encode documents and write an index of them. Stopped, it goes on where it was when it is called again.

    Examples: nearfar index build --model run --data corpus.jsonl --out index
    nearfar index build --from index --model new-run --out new-index
    nearfar index build --model run --data corpus.jsonl --out index --table s3://bucket/docs
    """
    from nearfar.index.config import IndexConfig
    from nearfar.index.location import Location
    from nearfar.pipeline import indexing
    from nearfar.pipeline.progress import Terminal

    if (data is None) == (source is None):
        found = "neither" if data is None else "both"
        raise BadInput.at("index build", expected="--data or --from", found=found, do="give one of them")
    given = {"passages": passages, "sparse": sparse, "codec": codec, "size_bytes": size_bytes}
    config = IndexConfig.parse({name: value for name, value in given.items() if value is not None}, "index build")
    documents = str(data or source)
    opening = storage_of(storage)
    at = Location.at(table, opening) if table is not None else Location("", opening)
    done = indexing.build(documents, model, out, config=config, overwrite=overwrite, table=at, reporter=Terminal())
    line = f"{done.documents:,} documents in {done.path}; search them: nearfar search {done.path} --model {model}"
    typer.echo(show.json_line(asdict(done)) if as_json else line)


@app.command("add")
def add(
    index: Place, data: Documents, model: Model = None, sparse: Sparse = None, storage: StorageOption = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Add documents, and replace those whose id is there; all of them become visible at once.

    Example: nearfar index add index --model run --data new.jsonl
    """
    from nearfar.pipeline import indexing
    from nearfar.pipeline.progress import Terminal

    done = indexing.add(index, data, model, sparse=sparse, storage=storage_of(storage), reporter=Terminal())
    _told(done, f"{done.added:,} documents added, {done.replaced:,} replaced", as_json=as_json)


@app.command("update")
def update(
    index: Place, data: Documents, model: Model = None, sparse: Sparse = None, storage: StorageOption = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Change documents that are there: what is given of each is replaced, and a changed text is encoded again.

    Example: echo '{"_id": "7", "price": 12}' | nearfar index update index --data -
    """
    from nearfar.pipeline import indexing
    from nearfar.pipeline.progress import Terminal

    done = indexing.update(index, data, model, sparse=sparse, storage=storage_of(storage), reporter=Terminal())
    _told(done, f"{done.replaced:,} documents changed", as_json=as_json)


@app.command("delete")
def delete(
    index: Place,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of the documents.")] = None,
    condition: Annotated[
        str, typer.Option("--filter", help="In the place of ids: all documents that fulfil it: 'year < 2000'.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    storage: StorageOption = None,
    as_json: AsJson = False,
) -> None:
    """Delete documents, by their ids or by a filter.

    Examples: nearfar index delete index 17 18
    nearfar index delete index --filter 'year < 2000' --dry-run
    """
    from nearfar.pipeline import indexing
    from nearfar.pipeline.progress import Terminal

    done = indexing.delete(index, ids or (), where=condition, dry_run=dry_run, storage=storage_of(storage),
                           reporter=Terminal())  # fmt: skip
    what = "documents would be deleted" if dry_run else "documents deleted"
    _told(done, f"{done.deleted:,} {what}", as_json=as_json)


@app.command("tune")
def tune(
    index: Place,
    data: Annotated[str, typer.Option(help="Judged queries for documents of the index.")],
    split: Annotated[str, typer.Option(help="Of the judged queries; not those that you measure with.")] = "dev",
    learn_to_rank: Annotated[
        bool, typer.Option("--learn-to-rank", help="Learn an order too; it is kept if it is better.")
    ] = False,
    rerank: Annotated[
        str | None, typer.Option(help="Cross- or multi-vector encoder that reads the first documents for that.")
    ] = None,
    model: Model = None,
    sparse: Sparse = None,
    storage: StorageOption = None,
    as_json: AsJson = False,
) -> None:
    """Learn from judged queries how much words count in a hybrid search, and from which score on there is an answer.

    What an earlier call learned is replaced.

    Examples: nearfar index tune index --data judged --model run
    nearfar index tune index --data judged --model run --learn-to-rank --rerank reranker
    """
    from nearfar.data.config import DataConfig
    from nearfar.data.read import as_dataset
    from nearfar.pipeline.evaluate import with_split
    from nearfar.pipeline.progress import Terminal
    from nearfar.pipeline.search_eval import tune_index
    from nearfar.search.index import Index

    refuse({"--rerank": not learn_to_rank and rerank}, "a tuning without it", "add --learn-to-rank")
    dataset = with_split(as_dataset(data), split, DataConfig())
    opened = Index.open(index, model, sparse=sparse, storage=storage_of(storage))
    done = tune_index(opened, dataset, split, learn_to_rank=learn_to_rank, rerank=rerank, reporter=Terminal())
    answered = ", ".join(f"{mode} {score:.3f}" for mode, score in done.answered_from.items()) or "nothing learnt"
    line = f"{done.queries:,} queries: vectors weigh {done.weight:.2f} in a hybrid search; answers from: {answered}"
    more = [] if done.learned is None else [show_search.learned_order(done.learned)]
    typer.echo(show.json_line(done.record()) if as_json else "\n".join([line, *more]))


@app.command("compact")
def compact(index: Place, storage: StorageOption = None, as_json: AsJson = False) -> None:
    """Write small files together, and leave out what was deleted; gc then frees the space.

    Example: nearfar index compact index
    """
    from nearfar.pipeline import indexing

    _told(indexing.compact(index, storage_of(storage)), "compacted", as_json=as_json)


@app.command("gc")
def gc(index: Place, storage: StorageOption = None, as_json: AsJson = False) -> None:
    """Remove everything that only earlier generations need; processes that have the index open must open it again.

    Example: nearfar index gc index
    """
    from nearfar.pipeline import indexing

    done = indexing.gc(index, storage_of(storage))
    _told(done, f"{done.bytes_freed:,} bytes freed", as_json=as_json)


@app.command("check")
def check(index: Place, storage: StorageOption = None, as_json: AsJson = False) -> None:
    """Read every file of an index and compare it with its checksum, of a table at a URL its size; say what it needs.

    Example: nearfar index check index
    """
    from nearfar.pipeline import indexing

    found = indexing.check(index, storage_of(storage))
    line = (f"{found.documents:,} documents of {found.dimension} dimensions, generation {found.generation}, model "
            f"{found.fingerprint}: whole; {found.bytes_on_disk:,} bytes on disk, {found.bytes_to_free:,} "
            f"of them for gc, {found.bytes_in_memory:,} in memory to search")  # fmt: skip
    typer.echo(show.json_line(asdict(found)) if as_json else line)


def _told(done: Changed, what: str, *, as_json: bool) -> None:
    line = f"{what}; {done.documents:,} documents in {done.path}"
    typer.echo(show.json_line(asdict(done)) if as_json else line)
