"""The training kernel of a static encoder against sentence-transformers' own forward and dense autograd."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding

from nearfar.core.ragged import Ragged
from nearfar.encoder import sparse_rows, token_table
from nearfar.encoder.encode import encode
from nearfar.encoder.encoder import Encoder
from nearfar.encoder.precision import Policy
from nearfar.encoder.sparse_rows import SparseRows
from nearfar.encoder.unit import unit
from tiny_models import sentences, tiny_static

ROWS = [[5, 5, 5, 7], [], [9], [7, 7, 0, 1, 9, 5], [], [3] * 40]  # repeated, unknown and no tokens
ODD = [*sentences(30), "", " ", "stone stone stone river", "日本 Zebra ☃", "river"]


def rows_of(*rows):
    return [np.array(row, np.int32) for row in rows]


def encoder_of(*modules):
    return Encoder(SentenceTransformer(modules=[tiny_static().model[0], *modules], device="cpu"))


def gradients(encoder, *batches):
    """Dense copies of all gradients after one backward for each batch, with the kernel and by autograd."""
    both = []
    for kernel in (True, False):
        encoder.model.zero_grad(set_to_none=True)
        context = encoder.training(Policy()) if kernel else torch.enable_grad()
        with context:
            for number, rows in enumerate(batches):
                out = encoder.embed(rows, "query", Policy())
                weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(number))
                (out * weights).sum().backward()
        both.append({name: p.grad.to_dense().clone() for name, p in encoder.model.named_parameters()})
    return both


def assert_near(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        assert (gradient - theirs[name]).norm() <= 1e-6 * theirs[name].norm(), name


@pytest.mark.parametrize("modules", [[], [Normalize()], [Dense(32, 8), Normalize()], [Dense(32, 8)]])
@pytest.mark.parametrize("compiled", [True, False])
def test_gradients_are_those_of_dense_autograd(modules, compiled, monkeypatch):
    monkeypatch.setattr(sparse_rows, "has_kernels", lambda _: compiled)
    assert_near(*gradients(encoder_of(*modules), rows_of(*ROWS)))


@pytest.mark.parametrize("compiled", [True, False])
def test_micro_batches_add_up(compiled, monkeypatch):
    monkeypatch.setattr(sparse_rows, "has_kernels", lambda _: compiled)
    assert_near(*gradients(encoder_of(), rows_of(*ROWS), rows_of([1, 5], [2], []), rows_of([9, 9])))


def test_micro_batches_of_one_backward_are_one_gradient():
    encoder = encoder_of(Normalize())
    found = []
    for together in (True, False):
        encoder.model.zero_grad(set_to_none=True)
        with encoder.training(Policy()):
            sums = [encoder.embed(rows, "query", Policy())[:, 0].sum() for rows in (rows_of(*ROWS), rows_of([1, 5]))]
            torch.autograd.backward(sums) if together else [part.backward() for part in sums]
        table = encoder.model[0].embedding.weight.grad
        found.append((table.indices().clone(), table.values().clone()))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_products_are_those_of_loops_whatever_the_threads(monkeypatch):
    generator = np.random.default_rng(0)
    texts = [generator.integers(0, 50, size) for size in (0, 3, 0, 700, 1, 2, 9, 0)]
    ids, starts = np.concatenate(texts), np.concatenate([[0], np.cumsum([len(text) for text in texts])[:-1]])
    vectors = [generator.normal(size=(rows, 33)).astype(np.float32) for rows in (50, len(texts))]
    means, sums = np.zeros((len(texts), 33)), np.zeros((50, 33))
    for number, text in enumerate(texts):
        for token in text:
            means[number] += vectors[0][token].astype(float) / len(text)
            sums[token] += vectors[1][number].astype(float) / len(text)
    for compiled, threads in ((True, 1), (True, 2), (True, 5), (True, 20), (False, 1)):
        monkeypatch.setattr(sparse_rows, "has_kernels", lambda _, value=compiled: value)
        monkeypatch.setattr(torch, "get_num_threads", lambda value=threads: value)
        pooling = SparseRows.means(torch.from_numpy(ids.astype(np.int32)), torch.from_numpy(starts), 50)
        rows, shares = pooling.transposed(50)
        assert rows.tolist() == np.unique(ids).tolist()
        found = [pooling.times(torch.from_numpy(vectors[0]), torch.full((len(texts), 33), 7.0)),
                 shares.times(torch.from_numpy(vectors[1]), torch.full((len(rows), 33), 7.0))]  # fmt: skip
        for one, other in zip(found, (means, sums[rows.numpy()]), strict=True):
            assert np.abs(one.numpy() - other).max() <= 1e-5
        if threads == 1 and compiled:
            alone = found
        elif compiled:
            assert all(torch.equal(one, other) for one, other in zip(found, alone, strict=True))


def test_unit_vectors_and_their_gradients_are_torchs():
    vectors = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    vectors[2] = 0
    found = []
    for function in (unit, lambda x: torch.nn.functional.normalize(x, dim=1)):
        leaf = vectors.clone().requires_grad_()
        value = function(leaf)
        (value * torch.arange(35).view(7, 5)).sum().backward()
        found.append((value.detach(), leaf.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_gradient_that_was_there_is_added_to():
    encoder = encoder_of()
    table = encoder.model[0].embedding.weight
    for before in (torch.ones_like(table), torch.ones_like(table).to_sparse(1)):
        with encoder.training(Policy()):
            table.grad = None
            encoder.embed(rows_of(*ROWS), "query", Policy()).sum().backward()
            alone = table.grad.to_dense().clone()
            table.grad = before
            for _ in range(2):
                encoder.embed(rows_of(*ROWS), "query", Policy()).sum().backward()
        torch.testing.assert_close(table.grad.to_dense(), 1 + 2 * alone)


def test_the_gradient_holds_the_rows_of_the_batch_alone():
    encoder = encoder_of(Normalize())
    with encoder.training(Policy()):
        for rows in (ROWS, ROWS[:1], ROWS):  # the same memory each time
            encoder.model.zero_grad(set_to_none=True)
            encoder.embed(rows_of(*rows), "query", Policy())[0].sum().backward()
            gradient = encoder.model[0].embedding.weight.grad
            assert gradient.is_sparse
            assert gradient.is_coalesced()
            assert gradient.indices()[0].tolist() == sorted({token for row in rows for token in row})


def test_texts_without_tokens_alone_have_no_gradient():
    encoder = encoder_of(Normalize())
    with encoder.training(Policy()):
        encoder.embed(rows_of([], []), "query", Policy()).sum().backward()
    assert encoder.model[0].embedding.weight.grad.indices().shape[1] == 0


def test_the_module_is_as_it_was_afterwards():
    encoder = encoder_of()
    before = encoder.model[0].embedding
    with encoder.training(Policy()):
        assert isinstance(encoder.model[0].embedding, token_table.TokenTable)
        assert [name for name, _ in encoder.model.named_parameters()] == ["0.embedding.weight"]
    assert encoder.model[0].embedding is before
    before.weight.requires_grad_(False)
    with encoder.training(Policy()):
        assert encoder.model[0].embedding is before


@pytest.mark.parametrize("modules", [[], [Normalize()], [Dense(32, 8), Normalize()]])
def test_vectors_are_those_of_sentence_transformers(modules, monkeypatch):
    monkeypatch.setattr("nearfar.encoder.encode.STATIC_TEXTS", 7)
    encoder = encoder_of(*modules)
    encoder.model.prompts = {"query": "house of "}
    for role, prompt in (("query", "house of "), ("document", "")):
        theirs = encoder.model.encode(ODD, prompt=prompt, normalize_embeddings=True)
        assert np.abs(encode(encoder, ODD, role, Policy()) - theirs).max() <= 1e-6
    encoder.model.similarity_fn_name = "dot"
    plain = encoder.model.encode(ODD)
    assert np.abs(encode(encoder, ODD, "document", Policy()) - plain).max() <= 1e-6


def test_flat_and_listed_rows_are_the_same_input():
    encoder = encoder_of(Normalize())
    assert isinstance(encoder.model[0], StaticEmbedding)
    listed = encoder.embed(rows_of(*ROWS), "query", Policy())
    assert torch.equal(listed, encoder.embed(Ragged.of(ROWS), "query", Policy()))
