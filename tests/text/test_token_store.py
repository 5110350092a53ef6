import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from nearfar.encoder.static import train_tokenizer
from nearfar.text.token_store import COMPILED_TEXTS, TokenStore, tokenizer_digest, truncated_share
from tiny_models import sentences

TEXTS = sentences(50)


def made(vocabulary=300) -> Tokenizer:
    return train_tokenizer(TEXTS, vocabulary)


class Counting:
    """A tokenizer that remembers what it was asked."""

    def __init__(self, tokenizer):
        self.inner, self.seen = tokenizer, []

    def encode_batch_fast(self, texts, *, add_special_tokens):
        self.seen += texts
        return self.inner.encode_batch_fast(texts, add_special_tokens=add_special_tokens)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def holds(store, tokenizer, texts):
    rows = store.rows(texts)
    return all(store[row].tolist() == ids(tokenizer, text) for row, text in zip(rows, texts, strict=True))


def place(folder):
    (found,) = folder.glob("tokens-*")
    return found


@pytest.mark.parametrize("on_disk", [True, False])
def test_rows_are_the_tokenizers_ids(tmp_path, on_disk):
    tokenizer = made()
    store = TokenStore.open(tokenizer, 100, tmp_path if on_disk else None)
    assert holds(store, tokenizer, [*TEXTS, "", "日本 unknown"])
    assert store.ids.dtype == np.int32
    assert isinstance(store.ids, np.memmap) == on_disk


@given(st.lists(st.lists(st.text(max_size=20), max_size=6), max_size=4))
@settings(deadline=None, max_examples=50)
def test_any_texts_in_any_portions(portions):
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    store = TokenStore.open(tokenizer, 1000)
    for texts in portions:
        assert holds(store, tokenizer, texts)
    assert len(store) == len({text for texts in portions for text in texts})


def test_each_text_is_tokenised_once(tmp_path):
    tokenizer = Counting(made())
    store = TokenStore.open(tokenizer, 100, tmp_path)
    first = store.rows([*TEXTS, *TEXTS[:5]])
    assert sorted(tokenizer.seen) == sorted(TEXTS)
    assert first[:5].tolist() == first[-5:].tolist()
    assert store.rows(TEXTS).tolist() == first[: len(TEXTS)].tolist()
    store.rows(["something new", TEXTS[3]])
    again = TokenStore.open(tokenizer, 100, tmp_path)
    assert again.rows(TEXTS).tolist() == first[: len(TEXTS)].tolist()
    assert sorted(tokenizer.seen) == sorted([*TEXTS, "something new"])


def test_it_grows_and_opens_again(tmp_path):
    tokenizer = made()
    for stop in (10, 11, 30, 50):
        store = TokenStore.open(tokenizer, 100, tmp_path)
        assert holds(store, tokenizer, TEXTS[:stop])
        assert len(store) == len(store.full_lengths) == stop


def test_an_empty_portion_and_texts_without_tokens(tmp_path):
    tokenizer = made()
    store = TokenStore.open(tokenizer, 100, tmp_path)
    assert store.rows([]).tolist() == []
    assert len(store[store.rows([""])[0]]) == 0
    again = TokenStore.open(tokenizer, 100, tmp_path)
    assert len(again) == 1
    assert holds(again, tokenizer, ["", "stone"])


def test_the_limit_cuts_and_full_lengths_remember(tmp_path):
    tokenizer = made()
    store = TokenStore.open(tokenizer, 6, tmp_path)
    rows = store.rows(TEXTS)
    full = [len(ids(tokenizer, text)) for text in TEXTS]
    assert [store[row].tolist() for row in rows] == [ids(tokenizer, text)[:6] for text in TEXTS]
    again = TokenStore.open(tokenizer, 6, tmp_path)
    assert again.full_lengths[again.rows(TEXTS)].tolist() == full
    assert truncated_share(again.full_lengths, 6) == pytest.approx(np.mean(np.array(full) > 6))
    assert truncated_share([], 6) == 0


class Crash(Exception):
    pass


@pytest.mark.parametrize("when", ["before the index", "before it is renamed"])
def test_a_crash_while_texts_are_added_loses_only_these(tmp_path, monkeypatch, when):
    tokenizer = made()
    TokenStore.open(tokenizer, 100, tmp_path).rows(TEXTS[:20])
    before = (place(tmp_path) / "ids.i32").stat().st_size

    def fails(*_args, **_kwargs):
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(*((np, "savez") if when == "before the index" else ("pathlib.Path.replace",)), fails)
        with pytest.raises(Crash):
            TokenStore.open(tokenizer, 100, tmp_path).rows(TEXTS[20:40])
    assert (place(tmp_path) / "ids.i32").stat().st_size > before
    counting = Counting(tokenizer)
    store = TokenStore.open(counting, 100, tmp_path)
    assert len(store) == 20
    assert holds(store, tokenizer, TEXTS[:20])
    assert counting.seen == []
    assert holds(store, tokenizer, TEXTS[30:])  # other texts than those that were lost
    assert holds(TokenStore.open(tokenizer, 100, tmp_path), tokenizer, TEXTS)
    tokens = sum(len(ids(tokenizer, text)) for text in TEXTS)
    assert (place(tmp_path) / "ids.i32").stat().st_size == 4 * tokens


def test_another_tokenizer_or_limit_is_another_folder(tmp_path):
    for tokenizer, limit in ((made(), 100), (made(150), 100), (made(), 50)):
        assert holds(TokenStore.open(tokenizer, limit, tmp_path), tokenizer, ["stone"])
    assert len(list(tmp_path.glob("tokens-*"))) == 3
    assert len(TokenStore.open(made(), 100, tmp_path)) == 1


def test_padding_and_truncation_on_the_tokenizer_do_not_matter():
    tokenizer = made()
    plain = tokenizer_digest(tokenizer)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding()
    assert tokenizer_digest(tokenizer) == plain
    assert holds(TokenStore.open(tokenizer, 100), made(), TEXTS)


def test_the_same_texts_train_the_same_tokenizer():
    assert made().to_str() == made().to_str()


def test_many_rows_at_once_are_the_rows_one_by_one(tmp_path):
    store = TokenStore.open(made(), 6, tmp_path)
    rows = store.rows(["one two three", "", "four five", " ".join(["six"] * 9)])[[3, 0, 1, 0, 2]]
    for limit in (0, 1, 2, 99):
        taken = store.take(rows, limit)
        assert [row.tolist() for row in taken] == [store[row][:limit].tolist() for row in rows]
    assert len(store.take(rows[:0], 5)) == 0


def test_many_texts_are_tokenised_by_the_compiled_code(tmp_path):
    tokenizer = Counting(made())
    store = TokenStore.open(tokenizer, 7, tmp_path)
    texts = sentences(3 * COMPILED_TEXTS)
    odd = [f"{text} é 日本" for text in texts[:5]] + ["a [UNK] b"]
    texts[100:100] = odd
    rows = store.rows(texts)
    assert tokenizer.seen == odd
    expected = [encoding.ids for encoding in tokenizer.inner.encode_batch(texts, add_special_tokens=False)]
    assert [store[row].tolist() for row in rows] == [row[:7] for row in expected]
    assert store.full_lengths[rows].tolist() == [*map(len, expected)]


def test_many_texts_of_a_tokenizer_of_another_kind():
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "path": 1, "é": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert holds(TokenStore(tokenizer, 100), tokenizer, sentences(COMPILED_TEXTS))
