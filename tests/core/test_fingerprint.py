import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.fingerprint import LENGTH, digest, digest_file, text_keys


@given(st.lists(st.text()), st.lists(st.text()))
def test_digests_agree_exactly_when_the_parts_do(one, other):
    assert (digest(one) == digest(other)) == (one == other)


def test_parts_do_not_run_into_each_other():
    ways = [["abc"], ["ab", "c"], ["a", "bc"], ["a", "b", "c"], ["abc", ""], ["", "abc"]]
    assert all(digest(a) != digest(b) for a, b in itertools.combinations(ways, 2))


def test_text_and_its_bytes_are_the_same_part():
    assert digest(["é"]) == digest(["é".encode()])


def test_digest_is_stable_across_versions():
    framed = b"\x04" + bytes(7) + b"near" + b"\x03" + bytes(7) + b"far"
    assert digest(["near", b"far"]) == hashlib.sha256(framed).hexdigest()[:16] == "bd11bf323d5cf494"
    assert len(digest([])) == LENGTH


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_digest_of_a_file_is_its_sha256(tmp_path, size):
    data = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(data[:size])
    assert digest_file(tmp_path / "file") == hashlib.sha256(data[:size]).hexdigest()


@given(st.lists(st.text(st.characters()), unique=True))  # lone surrogates too
def test_text_keys_are_content_keys(texts):
    keys = text_keys(texts)
    assert len(set(keys)) == len(texts)
    assert keys == [text_keys([text])[0] for text in texts]
    assert all(len(key) == 16 for key in keys)


def test_a_lone_surrogate_has_a_digest_and_a_key():
    assert digest(["\ud800"]) != digest(["\ud801"])
    assert text_keys(["\ud800"]) != text_keys(["\ud801"])
