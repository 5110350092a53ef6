"""Trees as LightGBM writes them, looked at before it reads them: it follows whatever places they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from nearfar.core.errors import BadInput, excerpt
from nearfar.core.plain_file import plain_text

END, TREE, LARGEST = "end of trees", "Tree=", "max_feature_idx"

Fields = Mapping[str, str]


def open_trees(path: Path, booster: Callable[..., Any]) -> Any:
    """A booster of the trees of a text file.

    Args:
        booster: LightGBM's class.

    Raises:
        BadInput: there are none, or one leads out of itself.
    """
    try:
        text = plain_text(path)
        check_trees(text)
        return booster(model_str=text)
    except Exception as error:  # LightGBM's own is none of Python's
        raise BadInput.at(path, expected="trees of LightGBM", found=excerpt(str(error), 200),
                          do="learn again: nearfar index tune INDEX --data D --learn-to-rank") from None  # fmt: skip


def check_trees(text: str) -> None:
    """See that every node of every tree has a feature that there is, and leads to later nodes and to leaves.

    Raises:
        ValueError: so.
    """
    head, *trees = _parts(text)
    features = int(head[LARGEST]) + 1
    for number, tree in enumerate(trees):
        leaves = int(tree["num_leaves"])
        nodes = leaves - 1
        asked, left, right = (_numbers(tree, name, nodes) for name in ("split_feature", "left_child", "right_child"))
        sound = int(tree["num_cat"]) == 0 and all(0 <= feature < features for feature in asked)
        for place, children in enumerate(zip(left, right, strict=True)):
            sound = sound and all(place < child < nodes or -leaves <= child < 0 for child in children)
        if not sound or len(tree["leaf_value"].split()) != leaves:
            raise ValueError(f"tree {number}, which leads out of itself")


def _parts(text: str) -> Iterator[Fields]:
    """The fields of the head, then those of each tree."""
    lines = text.partition(END)[0].splitlines()
    starts = [0, *(place for place, line in enumerate(lines) if line.startswith(TREE)), len(lines)]
    for start, end in pairwise(starts):
        split = (line.partition("=") for line in lines[start:end])
        yield {name: value for name, _, value in split}


def _numbers(tree: Fields, name: str, count: int) -> list[int]:
    found = list(map(int, tree.get(name, "").split()))
    if len(found) != count:
        raise ValueError(f"{len(found)} values of {name} for {count} nodes")
    return found
