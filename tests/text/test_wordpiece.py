import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

from nearfar.encoder.static import train_tokenizer
from nearfar.text.wordpiece import wordpiece
from tiny_models import sentences

LETTERS = "abcdefgh"
PIECES = ["[UNK]", "[CLS]", *LETTERS[:-1], *("##" + letter for letter in LETTERS[:-1]), "ab", "abcd", "##cd", "##bcd",
          "##", "é", "##é", "A", ".", "##1", "1"]  # fmt: skip


def made(longest=10, prefix="##", normalizer=None) -> Tokenizer:
    vocabulary = {piece.replace("##", prefix): 3 * i for i, piece in enumerate(PIECES)}
    model = models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=longest)
    model.continuing_subword_prefix = prefix
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizer or normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[UNK]", "[CLS]"])
    return tokenizer


def both(tokenizer, texts):
    """Ids of the texts that ours takes, from ours and from the library."""
    ours = wordpiece(tokenizer.to_str())
    assert ours is not None
    texts = [text for text in texts if ours.takes(text)]
    theirs = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [row.tolist() for row in ours.tokenize(texts)], [encoding.ids for encoding in theirs]


TOKENIZERS = {
    "lower": made(),
    "cased": made(normalizer=normalizers.BertNormalizer(lowercase=False)),
    "long words": made(longest=1000),
    "other prefix": made(prefix="a"),
    "learned": train_tokenizer(sentences(200), 400),
}
pieces = st.sampled_from([*LETTERS, *LETTERS.upper(), *"ab12.#' \t\n\r\0\x1f\x7f"])
texts = st.lists(st.one_of(st.text(pieces, max_size=60), st.text(st.characters(max_codepoint=127), max_size=40)))


@pytest.mark.parametrize("name", TOKENIZERS)
@given(texts)
@settings(deadline=None, max_examples=60)
def test_the_librarys_ids(name, drawn):
    ours, theirs = both(TOKENIZERS[name], drawn)
    assert ours == theirs


def test_real_texts():
    lines = [*sentences(500), string.__doc__ or "", string.printable]
    ours, theirs = both(TOKENIZERS["learned"], lines)
    assert ours == theirs
    assert len(ours) == len(lines)


@pytest.mark.parametrize("longest", [10, 2**60])
@pytest.mark.parametrize("length", [9, 10, 11, 500])
def test_words_at_and_above_the_limit(length, longest):
    words = ["a" * length, f"b {'a' * length}.c", "\0" * length + "a" * length]
    ours, theirs = both(made(longest=longest), words)
    assert ours == theirs


def test_what_is_left_to_the_library():
    ours = wordpiece(made().to_str())
    assert ours
    assert [ours.takes(text) for text in ("plain", "", "café", "x [CLS]", "[cls]")] == [
        True, True, False, False, True,
    ]  # fmt: skip


def test_no_text_at_all():
    assert both(made(), []) == ([], [])
    assert both(made(), ["", " ", ""]) == ([[], [], []], [[], [], []])


def with_normalized_token():
    tokenizer = made()
    tokenizer.add_tokens([AddedToken("abc", normalized=True)])
    return tokenizer


def without(part):
    tokenizer = made()
    setattr(tokenizer, part, pre_tokenizers.Whitespace() if part == "pre_tokenizer" else None)
    return tokenizer


def without_unknown():
    tokenizer = Tokenizer(models.WordPiece({"a": 0}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    return tokenizer


@pytest.mark.parametrize(
    "tokenizer",
    [
        Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")),
        made(normalizer=normalizers.BertNormalizer(clean_text=False)),
        made(normalizer=normalizers.Lowercase()),
        with_normalized_token(),
        without("normalizer"),
        without("pre_tokenizer"),
        without_unknown(),
    ],
)
def test_tokenizers_of_another_kind(tokenizer):
    assert wordpiece(tokenizer.to_str()) is None
