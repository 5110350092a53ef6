"""Examples in the help of verbs: a line each, where paragraphs would be filled."""

from __future__ import annotations

import inspect
import re

import typer

BEGIN = re.compile(r"\n\nExamples?: ")
NEXT = re.compile(r"(?:;\s+|\n)(?=nearfar |echo |NEARFAR_)")
AS_IT_IS = "\b"  # begins a paragraph that is not filled


def keep_examples(app: typer.Typer) -> None:
    """Have the help of every verb below `app` end with its examples as they are typed."""
    for verb in app.registered_commands:
        verb.help = _shown(inspect.getdoc(verb.callback) or "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            keep_examples(group.typer_instance)


def _shown(text: str) -> str:
    parts = BEGIN.split(text, maxsplit=1)
    examples = [" ".join(line.split()) for line in NEXT.split("".join(parts[1:])) if line]
    title = "Examples:" if len(examples) > 1 else "Example:"
    return "\n".join([parts[0], "", AS_IT_IS, title, *(f"  {line}" for line in examples)]) if examples else text
