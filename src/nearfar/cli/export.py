"""The verb `export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from nearfar.cli import show
from nearfar.cli.options import AsJson
from nearfar.core.errors import BadInput

if TYPE_CHECKING:
    from nearfar.encoder.runtimes import Fit

SAME = 0.9995  # of the ten best: what is left is rounding
MODELS = ("onnx", "openvino")


def export(
    run: Annotated[Path, typer.Argument(help="A run folder; or a model folder, for its model.")],
    to: Annotated[
        str | None, typer.Option(help="Codes: faiss, lance, pgvector. Model: onnx, openvino. Left out: who serves it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write.")] = None,
    size_bytes: Annotated[int, typer.Option("--bytes", min=1, help="Which codes: bytes a vector.")] = 32,
    precision: Annotated[str, typer.Option(help="Of a model's weights: fp32 or int8.")] = "fp32",
    data: Annotated[str | None, typer.Option(help="Queries to check codes with; left out: the run's own.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the export in --out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's codes or its model for other tools, and check that these give what nearfar does.

    faiss takes product, residual and binary codes; lance product codes; pgvector binary ones. pq4 is fastest in faiss.
    Without --to it says which servers take the model folder as it is.

    Examples: nearfar export run --to faiss --bytes 32 --out run-faiss
    nearfar export run --to onnx --out run-onnx
    nearfar export run
    """
    if to is None:
        from nearfar.encoder.runtimes import fits

        found = fits(run)
        typer.echo(show.json_line({"runtimes": [asdict(fit) for fit in found]}) if as_json else _fits(found))
        return
    if out is None:
        raise BadInput.at("--out", expected="a folder to write", found="none", do="name one")
    if precision not in {"fp32", "int8"}:
        raise BadInput.at("--precision", expected="fp32 or int8", found=f"'{precision[:60]}'", do="choose one")
    exported, line = (
        _model(run, to, out, precision, overwrite)
        if to in MODELS
        else _codes(run, to, out, size_bytes, data, overwrite)
    )
    typer.echo(show.json_line(asdict(exported)) if as_json else line)


def _model(run: Path, to: str, out: Path, precision: str, overwrite: bool) -> tuple[Any, str]:
    from nearfar.pipeline.export_model import export_model
    from nearfar.report.filters import amount

    found = export_model(run, to, precision=cast(Literal["fp32", "int8"], precision), out=out, overwrite=overwrite)
    said = f"{found.overlap:.1%} of the ten nearest texts are ours, cosines are {found.cosine:.4f} or more"
    size = amount(found.size_bytes)
    return found, f"the model in {precision} for {to}, {size}, in {found.path}: of {found.probes} texts {said}"


def _codes(run: Path, to: str, out: Path, size_bytes: int, data: str | None, overwrite: bool) -> tuple[Any, str]:
    from nearfar.pipeline.export import export as export_
    from nearfar.pipeline.progress import Terminal

    found = export_(run, to, size_bytes=size_bytes, out=out, data=data, overwrite=overwrite, reporter=Terminal())
    off = f"differ from ours by {found.worst:.1e} of the largest at most" if found.worst else "are ours"
    same = "" if found.overlap > SAME else f", and {found.overlap:.1%} of the ten best are ours"
    checked = f"the scores of {found.queries:,} queries {off}{same}"
    line = f"{found.documents:,} documents, {found.codec} of {found.size_bytes} bytes, in {found.path}: {checked}"
    return found, line


def _fits(found: list[Fit]) -> str:
    width = max(len(fit.name) for fit in found)
    return "\n".join(
        f"{fit.name:{width}}  {'yes' if fit.fits else 'no '}{'  ' + fit.why if fit.why else ''}".rstrip()
        for fit in found
    )
