"""A fitted codec on disk, bound to the embedding space it was fitted in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nearfar.compress.codec import Codec
from nearfar.compress.registry import kind_of
from nearfar.core.artifact import read_manifest, writing
from nearfar.core.errors import BadInput, FingerprintMismatch
from nearfar.core.facts import check_facts
from nearfar.core.plain_arrays import archived_arrays
from nearfar.core.plain_file import understood

KIND = "codec"
FILE = "state.npz"


def save_codec(path: Path, name: str, codec: Codec, fingerprint: str, *, overwrite: bool = False) -> None:
    """Write a codec folder.

    Args:
        name: the codec's in the registry, which is what opens it again.
        fingerprint: of the model whose vectors it was fitted on.

    Raises:
        BadInput: there is no such codec, the folder exists, or the disk cannot take it.
    """
    kind_of(name)
    meta = {"codec": name, "fingerprint": fingerprint, "dimension": codec.dimension, "bytes": codec.size_bytes}
    with writing(path, KIND, meta, overwrite=overwrite) as folder, (folder / FILE).open("wb") as file:
        np.savez(file, allow_pickle=False, **codec.state())


def open_codec(path: Path, fingerprint: str | None = None) -> Codec:
    """Open a codec folder; its name and fingerprint are in `read_meta(path, KIND)`.

    Args:
        fingerprint: of the model whose vectors it is to encode; None where only codes are decoded.

    Raises:
        BadInput: there is none, it is damaged, or it is of a codec that is not known here.
        FingerprintMismatch: it was fitted in another embedding space.
    """
    meta = read_manifest(path, KIND)
    check_facts(path, meta, {"codec": str, "fingerprint": str, "dimension": int, "bytes": int})
    if fingerprint not in {None, meta["fingerprint"]}:
        raise FingerprintMismatch(
            f"{path}: expected vectors of model {meta['fingerprint']}, found those of model {fingerprint}; "
            f"encode with the codec's own model, or fit a codec to this one"
        )
    arrays = archived_arrays(path / FILE)
    with understood(path, "a codec"):
        codec = kind_of(meta["codec"]).restore(arrays)
        sizes = codec.dimension, codec.size_bytes
    if sizes != (meta["dimension"], meta["bytes"]):
        raise BadInput.at(path, expected=f"{meta['dimension']}-d vectors as {meta['bytes']} bytes",
                          found=f"{sizes[0]}-d as {sizes[1]}", do="fit the codec again")  # fmt: skip
    return codec
