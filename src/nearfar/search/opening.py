"""Where an index and its model lie, and what answers: its own codes or vectors, or other codes."""

from __future__ import annotations

from pathlib import Path

from nearfar.core.errors import BadInput
from nearfar.index.codes import CodedIndex, Rescored, open_codes_of
from nearfar.index.generation import Generation


def places_of(path: Path, *, named: bool) -> tuple[Path, Path]:
    """The index folder of a run or of an index, and the model beside it.

    Args:
        named: whether a model is named, so that none need be there.

    Raises:
        BadInput: there is none.
    """
    if (path / "index").is_dir():
        return path / "index", path / "model"
    beside = path.parent / "model"
    if not named and not beside.is_dir():
        raise BadInput.at(path, expected="a run folder, or an index folder and its model", found="no model",
                          do="name the model")  # fmt: skip
    return path, beside


def answering(
    place: Path, generation: Generation, size_bytes: int | None, rescore: int | None
) -> CodedIndex | Rescored | None:  # fmt: skip
    """The codes of so many bytes that `nearfar.compress` made, with full vectors behind them where those rank; or None.

    Raises:
        BadInput: there are none, or none are asked for that could choose.
        FingerprintMismatch: they are those of another model.
    """
    if rescore is not None and rescore < 1:
        raise BadInput.at("rescore", expected="one document or more", found=str(rescore), do="such as 100")
    if rescore is not None and size_bytes is None:
        raise BadInput.at("rescore", expected="codes that choose the documents", found="the full vectors alone",
                          do="say which codes: --bytes, or size_bytes")  # fmt: skip
    if size_bytes is None:
        return None
    codes = open_codes_of(place, size_bytes)
    return Rescored(codes, generation.table.vectors, rescore) if rescore else codes
