"""The training kernels against torch's own modules."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from nearfar.encoder.kernels import ByteDropout, SparseLookup, attention, dropped, survivors, training_kernels


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_has_torchs_rate_mean_and_variance(rate):
    torch.manual_seed(0)
    out = ByteDropout(rate)(torch.ones(1000, 1000))
    rounded = dropped(rate) / 256
    assert rounded == pytest.approx(rate, abs=1 / 512)
    assert (out == 0).float().mean().item() == pytest.approx(rounded, abs=2e-3)
    assert out.mean().item() == pytest.approx(1, abs=4e-3)
    assert out.var().item() == pytest.approx(rounded / (1 - rounded), rel=0.02)
    assert out.unique().tolist() == pytest.approx([0, 1 / (1 - rounded)])


def test_the_backward_of_dropout_has_the_forwards_mask():
    inputs = torch.randn(64, 64, requires_grad=True)
    out = ByteDropout(0.3)(inputs)
    out.sum().backward()
    torch.testing.assert_close(inputs.grad, (out / inputs).detach())


def test_dropout_follows_the_generator_and_rests_in_evaluation():
    inputs, module = torch.randn(9, 7), ByteDropout(0.5)
    torch.manual_seed(3)
    first = module(inputs)
    torch.manual_seed(3)
    assert torch.equal(first, module(inputs))
    assert not torch.equal(first, module(inputs))
    assert module.eval()(inputs) is inputs
    assert ByteDropout(0.0)(inputs) is inputs


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 7, 7)])
def test_masks_of_any_shape(shape):
    torch.manual_seed(0)
    keep = survivors(torch.Size(shape), 0.5)
    assert keep.shape == shape
    assert set(keep.int().unique().tolist()) <= {0, 1}


class Asked(nn.Module):
    is_causal = False


def asked(module, *, heads=2, tokens=6, rows=3, mask=None, **options):
    """Output and gradients of `attention` and of torch's, on the same inputs."""
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(rows, heads, tokens, 8, generator=generator) for _ in range(3)]
    weights = torch.randn(rows, heads, tokens, 8, generator=generator)
    results = []
    for function in (
        lambda q, k, v: attention(module, q, k, v, mask, **options)[0].transpose(1, 2),
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=options.get("scaling")),
    ):
        leaves = [part.clone().requires_grad_() for part in inputs]
        out = function(*leaves)
        results.append([out, *torch.autograd.grad((out * weights).sum(), leaves)])
    return zip(*results, strict=True)


def padded(rows=3, tokens=6):
    mask = torch.ones(rows, 1, 1, tokens, dtype=torch.bool)
    mask[1, ..., 4:] = False
    mask[-1, ..., 1:] = False
    return mask.expand(rows, 1, tokens, tokens)


@pytest.mark.parametrize("mask", [None, padded(), torch.zeros(3, 1, 6, 6).masked_fill(~padded(), -1e9)])
@pytest.mark.parametrize("scaling", [None, 0.7])
@pytest.mark.parametrize("training", [True, False])
def test_attention_without_dropout_is_torchs(mask, scaling, training):
    for ours, torchs in asked(Asked().train(training), mask=mask, scaling=scaling, dropout=0.0):
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-5)


def test_a_row_of_padding_alone_is_no_nan():
    mask = torch.zeros(3, 1, 6, 6, dtype=torch.bool)
    for ours, _ in asked(Asked().train(), mask=mask):
        assert torch.isfinite(ours).all()


def test_the_backward_of_attention_has_the_forwards_mask():
    """With the same seed the function is smooth, so that its gradient is a difference quotient."""
    module = Asked().train()

    def loss(q):
        torch.manual_seed(5)
        return attention(module, q, key, value, padded(), dropout=0.5)[0].square().sum()

    generator = torch.Generator().manual_seed(2)
    q, key, value = (torch.randn(3, 2, 6, 8, generator=generator, dtype=torch.float64) for _ in range(3))
    direction = torch.randn(q.shape, generator=generator, dtype=torch.float64)
    leaf = q.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    shift = 1e-6
    expected = (loss(q + shift * direction) - loss(q - shift * direction)) / (2 * shift)
    torch.testing.assert_close((gradient * direction).sum(), expected, rtol=1e-6, atol=1e-6)


def test_all_three_gradients_of_attention_with_dropout():
    def function(q, k, v):
        torch.manual_seed(5)
        return attention(Asked().train(), q, k, v, padded(2, 3), dropout=0.4)[0]

    generator = torch.Generator().manual_seed(2)
    leaves = [torch.randn(2, 1, 3, 4, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]
    assert torch.autograd.gradcheck(function, leaves)


def test_the_mean_of_attention_with_dropout_is_that_without():
    module, generator = Asked().train(), torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 1, 4, 8, generator=generator) for _ in range(3))
    torch.manual_seed(0)
    mean = torch.stack([attention(module, q, k, v, None, dropout=0.25)[0] for _ in range(4000)]).mean(0)
    torch.testing.assert_close(mean, attention(module, q, k, v, None)[0], rtol=0.1, atol=0.05)


def test_evaluation_and_causal_attention_are_torchs():
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 2, 5, 8, generator=generator) for _ in range(3))
    for module, causal in ((Asked().eval(), False), (Asked().train(), True)):
        ours = attention(module, q, k, v, None, is_causal=causal, dropout=0.0)[0].transpose(1, 2)
        torch.testing.assert_close(ours, functional.scaled_dot_product_attention(q, k, v, is_causal=causal))


@pytest.mark.parametrize("padding", [None, 2])
def test_a_sparse_lookup_has_the_gradient_of_an_embedding(padding):
    torch.manual_seed(0)
    table = nn.Embedding(9, 4, padding_idx=padding)
    sparse = SparseLookup(nn.Embedding(9, 4, padding_idx=padding))
    sparse.weight.data.copy_(table.weight.data)
    ids = torch.tensor([[1, 2, 2, 8], [1, 1, 0, 5]])
    weights = torch.randn(2, 4, 4)
    for _ in range(2):  # a second backward adds to the first
        out, ours = table(ids), sparse(ids)
        assert torch.equal(out, ours)
        (out * weights).sum().backward()
        (ours * weights).sum().backward()
    torch.testing.assert_close(sparse.weight.grad, table.weight.grad)
    assert padding is None or not sparse.weight.grad[padding].any()


def shape_of(model):
    return [(name, type(module), id(module)) for name, module in model.named_modules()]


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_it_was_afterwards(tiny, fails):
    model = tiny.model.transformers_model
    before, attends = shape_of(model), model.config._attn_implementation

    def inside():
        with training_kernels(model):
            kinds = {type(module) for module in model.modules()}
            assert {ByteDropout, SparseLookup} <= kinds
            assert not {nn.Dropout, nn.Embedding} & kinds
            assert model.config._attn_implementation == "nearfar"
            if fails:
                raise RuntimeError("out of luck")

    if fails:
        with pytest.raises(RuntimeError, match="out of luck"):
            inside()
    else:
        inside()
    assert shape_of(model) == before
    assert model.config._attn_implementation == attends == "sdpa"


def test_parameters_stay_the_same_objects(tiny):
    before = {name: id(p) for name, p in tiny.model.named_parameters()}
    with training_kernels(tiny.model.transformers_model):
        assert {name: id(p) for name, p in tiny.model.named_parameters()} == before


def test_frozen_tables_and_eager_attention_are_left_alone(tiny_folder):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(tiny_folder, attn_implementation="eager")
    model.embeddings.word_embeddings.weight.requires_grad_(False)
    with training_kernels(model):
        assert type(model.embeddings.word_embeddings) is nn.Embedding
        assert model.config._attn_implementation == "eager"
