"""English questions said in other words, by rules on function words: what is asked for is never touched.

There are no synonyms here: without a dictionary of senses they change the meaning as often as the words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

RULES_A_TEXT = 2  # applied to one text, at most

# Beginnings of a question, and what may stand in their place.
HEADS: Mapping[str, tuple[str, ...]] = {
    "can I": ("is it possible to", "am I able to"),
    "do I have to": ("do I need to", "is it necessary to"),
    "do I need to": ("do I have to", "is it necessary to"),
    "how can I": ("how do I", "how to", "what is the way to"),
    "how do I": ("how can I", "how to", "what is the way to"),
    "how to": ("how do I", "how can I", "what is the way to"),
    "I want to": ("I would like to", "help me to"),
    "is it possible to": ("can I", "is there a way to"),
    "is there a way to": ("can I", "is it possible to"),
    "what are the": ("which are the",),
    "what is the": ("which is the",),
    "where are": ("where can I find", "where do I find"),
    "where can I find": ("where do I find", "where do I get"),
    "where is": ("where can I find", "where do I find"),
}

# Function words anywhere in the text.
INSIDE: Mapping[str, tuple[str, ...]] = {
    "because": ("since", "as"),
    "cannot": ("can't", "can not"),
    "can't": ("cannot",),
    "do not": ("don't",),
    "does not": ("doesn't",),
    "doesn't": ("does not",),
    "don't": ("do not",),
    "for example": ("for instance",),
    "I am": ("I'm",),
    "I'm": ("I am",),
    "in order to": ("to", "so as to"),
    "is not": ("isn't",),
    "isn't": ("is not",),
    "it is": ("it's",),
    "it's": ("it is",),
    "such as": ("like",),
    "what is": ("what's",),
    "what's": ("what is",),
    "whether": ("if",),
    "will not": ("won't",),
    "won't": ("will not",),
}

LINKS = "after|although|because|before|unless|while"  # never the object of a verb, as "when" and "if" may be
CLAUSE_FIRST = re.compile(rf"({LINKS}|if|when) ([^,.?!;:]+), ([^,.?!;:]+)([.?!]?)", re.IGNORECASE)
CLAUSE_LAST = re.compile(rf"([^,.?!;:]+?) ({LINKS}) ([^,.?!;:]+)([.?!]?)", re.IGNORECASE)

Rule = Callable[[str, np.random.Generator], str]


def paraphrase(query: str, generator: np.random.Generator) -> str | None:
    """Say `query` in other words by one or two rules that apply, drawn at random; None where none does."""
    text, done = query, 0
    for number in generator.permutation(len(RULES)):
        changed = RULES[number](text, generator)
        done += changed != text
        text = changed
        if done == RULES_A_TEXT:
            break
    return _capital_as_in(query, text) if done else None


def _heads(text: str, generator: np.random.Generator) -> str:
    found = next((head for head in HEADS if re.match(rf"{head}\b", text, re.IGNORECASE)), None)
    return text if found is None else _one_of(HEADS[found], generator) + text[len(found) :]


def _inside(text: str, generator: np.random.Generator) -> str:
    found = [phrase for phrase in INSIDE if _whole(phrase).search(text)]
    if not found:
        return text
    phrase = _one_of(found, generator)
    new = _one_of(INSIDE[phrase], generator)
    return _whole(phrase).sub(lambda match: _capital_as_in(match[0], new), text, count=1)


def _clauses(text: str, _generator: np.random.Generator) -> str:
    """The other order of a main and a subordinate clause."""
    if first := CLAUSE_FIRST.fullmatch(text):
        link, clause, main, end = first.groups()
        return f"{main} {link.lower()} {clause}{end}"
    if last := CLAUSE_LAST.fullmatch(text):
        main, link, clause, end = last.groups()
        return f"{link} {clause}, {_small(main)}{end}"
    return text


RULES: tuple[Rule, ...] = (_heads, _inside, _clauses)


def _whole(phrase: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w']){re.escape(phrase)}(?![\w'])", re.IGNORECASE)


def _one_of(choices: Sequence[str], generator: np.random.Generator) -> str:
    return choices[int(generator.integers(len(choices)))]


def _small(text: str) -> str:
    """`text` in the midst of a sentence; names keep their capital, and so does I."""
    word = text.split(" ", 1)[0].lower()
    begins = {head.split(" ", 1)[0].lower() for head in HEADS} - {"i"}
    return text[0].lower() + text[1:] if word in begins else text


def _capital_as_in(model: str, text: str) -> str:
    """`text` with a capital at its beginning where `model` has one."""
    if model[:1].isupper():
        return text[:1].upper() + text[1:]
    return text if re.match(r"I\b", text) else text[:1].lower() + text[1:]
