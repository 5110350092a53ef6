"""Training through codes: the objective against loops, gradients of every step, and a resumed run."""

import numpy as np
import pytest
import torch
from batches_of_tokens import distance, gradients_of, plain, policy, stepped, token_batch
from processes import together
from test_loop import press_ctrl_c_after, same, trainer, weights

from codebooks import codec, unit_vectors
from nearfar.compress.learn.start import trainable
from nearfar.core.errors import BadInput, Interrupted
from nearfar.core.ragged import Ragged
from nearfar.core.targets import Targets
from nearfar.encoder.config import EncoderConfig
from nearfar.encoder.load import load_encoder
from nearfar.encoder.reshape import open_encoder
from nearfar.losses import LOSSES, Share
from nearfar.train.adapt import adapted
from nearfar.train.codes import CodesConfig, Through
from nearfar.train.config import TrainConfig
from nearfar.train.distributed import Workers
from nearfar.train.objective import TrainObjective
from tiny_models import tiny_static

KINDS = ["residual", "product"]
ALONE = sorted(name for name, loss in LOSSES.items() if loss.separable and not loss.needs)  # computed in shares


def objective(name="residual", *, fixed=False, reconstruction=0.5, **settings):
    through = Through(codec(name), CodesConfig(reconstruction=reconstruction), fixed=fixed)
    return TrainObjective(TrainConfig(**settings), through=through)


@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("name", ["pq", "opq", "rq", *KINDS])
def test_a_codec_made_trainable_is_the_same_codec(name, size):
    given, vectors, queries = codec(name, size), unit_vectors(50, 3), unit_vectors(9, 4)
    made = trainable(given).codec()
    assert (made.encode(vectors) == given.encode(vectors)).mean() > 0.99  # a rotation of its own rounds otherwise
    np.testing.assert_allclose(
        made.score(queries, codes := given.encode(vectors)), given.score(queries, codes), atol=1e-5
    )


@pytest.mark.parametrize("name", ["int8", "pca"])
def test_a_codec_without_codebooks_is_refused(name):
    with pytest.raises(BadInput, match="expected product or residual codebooks, which can learn, found"):
        trainable(codec(name, {"int8": 32, "pca": 16}[name]))


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_the_objective_is_that_of_a_loop(name, fixed):
    """Loss and gradients at documents and codebooks: those at what codes stand for, carried over by hand."""
    given, loss = codec(name), objective(name, fixed=fixed)
    documents, queries = unit_vectors(7, 5), torch.from_numpy(unit_vectors(5, 6))
    targets = Targets.of(Ragged.of([[q, q + 2] for q in range(5)]), documents=7)
    leaf = torch.from_numpy(documents).requires_grad_()
    value = loss(queries, leaf, targets)
    value.backward()
    codes = given.encode(documents)
    standing = torch.from_numpy(given.decode(codes)).requires_grad_()
    reference = TrainObjective(TrainConfig())(queries, standing, targets)
    reference.backward()
    inner = given.inner.decode(codes)
    turned = documents if given.rotation is None else documents @ given.rotation.T
    expected = reference.item() + 0.5 * np.square(turned - inner).sum() / 7
    assert value.item() == pytest.approx(expected, rel=1e-5)
    at_codes = standing.grad.numpy() @ given.query_map.T  # at ŷ, (7, d')
    pulled = (turned - inner) / 7  # of the squared error, halved and weighed by half
    at_turned = at_codes + pulled
    at_documents = at_turned if given.rotation is None else at_turned @ given.rotation
    np.testing.assert_allclose(leaf.grad, at_documents, atol=1e-6)
    books = loss.through.books
    for book in range(codes.shape[1]):
        of_book = (at_codes - pulled) if name == "residual" else np.split(at_codes - pulled, codes.shape[1], 1)[book]
        moved = np.zeros(given.codebooks[book].shape)
        for document in range(7):
            moved[codes[document, book]] += of_book[document]
        found = books.centroids.free.grad[book]
        np.testing.assert_allclose(found, moved, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("loss", ALONE)
def test_shares_of_every_loss_add_up_and_reach_the_codebooks(name, loss):
    made = objective(name, loss=loss)
    queries, documents = torch.from_numpy(unit_vectors(6, 1)), torch.from_numpy(unit_vectors(9, 2))
    targets = Targets.of(Ragged.of([[q, q + 3] for q in range(6)]), documents=9)
    halves = [Share(slice(0, 2), slice(0, 5)), Share(slice(2, 6), slice(5, 9))]
    whole = made(queries, documents, targets)
    assert sum(made(queries, documents, targets, share) for share in halves).item() == pytest.approx(
        whole.item(), rel=1e-5
    )
    whole.backward()
    assert all(p.grad.abs().sum() > 0 for p, _ in made.through.rates)


def steps_agree(encoder, loss, keep):
    batch = token_batch(encoder)
    _, reference = plain(encoder, batch, loss, policy())
    _, found = stepped(encoder, batch, loss, policy(keep_bytes=keep))
    assert distance(reference, found) <= 1e-5
    return found


@pytest.mark.parametrize("keep", [0, 1 << 40])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("base", ["tiny", "static"])
def test_the_cached_step_has_the_gradient_of_a_plain_one(base, name, fixed, keep, request):
    loss = objective(name, fixed=fixed, learn_temperature=True)
    found = steps_agree(request.getfixturevalue(base), loss, keep)
    learning = {f"through.books.{part}" for part, p in loss.through.books.named_parameters() if p.requires_grad}
    assert len(learning) == {"residual": 2, "product": 3 - fixed}[name]
    assert all(found[part].abs().sum() > 0 for part in learning)


def gradients(workers, base, name, separable):
    encoder = tiny_static() if base == "static" else load_encoder(base)
    loss, chosen = objective(name), policy()
    loss.separable = separable

    def run():
        result = workers.step(encoder, token_batch(encoder), loss, chosen)
        workers.sum_gradients([p for p in [*encoder.model.parameters(), *loss.parameters()] if p.requires_grad])
        return float(result.loss)

    with encoder.training(chosen):
        value, found = gradients_of(encoder, loss, run)
    return value, {name: gradient.numpy() for name, gradient in found.items()}


def every_case(workers, cases):
    return [gradients(workers, *case) for case in cases]


def test_processes_have_the_gradient_of_one(tiny_folder):
    cases = [
        (base, *rest) for base in ("static", str(tiny_folder)) for rest in (("residual", True), ("product", False))
    ]
    alone = every_case(Workers(), cases)
    for of_rank in together(2, every_case, cases):
        for (value, reference), (computed, found) in zip(alone, of_rank, strict=True):
            assert computed == pytest.approx(value, rel=1e-5)
            as_tensors = [{name: torch.from_numpy(part) for name, part in side.items()} for side in (reference, found)]
            assert distance(*as_tensors) <= 1e-5


@pytest.mark.parametrize("sides", ["both", "query"])
@pytest.mark.parametrize("name", KINDS)
def test_a_run_that_was_cut_ends_with_the_same_bits(tmp_path, name, sides):
    """Codebooks and maps move, each at a rate of its own, and are checkpointed with the rest."""
    settings = {"codec": codec(name), "codes": {"path": "some"}, "sides": sides}
    whole = trainer(tmp_path / "whole", **settings)
    expected = whole.run()
    with pytest.raises(Interrupted):
        trainer(tmp_path / "cut", on_step=press_ctrl_c_after(5), **settings).run()
    last = trainer(tmp_path / "cut", **settings)
    last.resume()
    assert last.run().losses == expected.losses
    assert same(weights(last), weights(whole))
    rates = {group["params"][0]: group["share"] for group in whole.optimizer.param_groups if "share" in group}
    assert sorted(rates.values()) == pytest.approx(sorted(rate / whole.peak for _, rate in whole.through.rates))


def test_codebooks_move_and_fixed_codes_stay(tmp_path):
    for sides in ("both", "query"):
        given, rising = codec("residual"), iter(range(99))
        run = trainer(tmp_path / sides, on_eval=lambda _, scores=rising: float(next(scores)), codec=given, sides=sides,
                      codes={"path": "some"})  # fmt: skip
        run.run()
        learnt, documents = run.through.learnt(), unit_vectors(300, 8)
        assert abs(learnt.codec.codebooks - given.codebooks).max() > 1e-3
        assert (learnt.codes(documents) == given.encode(documents)).all() == (sides == "query")


def separate(folder):
    return open_encoder(folder, EncoderConfig(sharing="separate"))


@pytest.mark.parametrize("keep", [0, 1 << 40])
def test_the_encoder_of_documents_stays_and_computes_as_in_evaluation(tiny_folder, keep):
    encoder = separate(tiny_folder)
    names = set(encoder.model.state_dict())
    adaptation = adapted(encoder, TrainConfig(sides="query"), (), policy())
    assert set(encoder.model.state_dict()) == names
    found = steps_agree(encoder, objective(fixed=True), keep)
    assert any("query" in name for name in found)
    assert not any("document" in name for name in found)
    rows = token_batch(encoder).documents
    still = encoder.embed(rows, "document", policy()).detach()
    with encoder.training(policy()), torch.no_grad():
        assert torch.allclose(encoder.embed(rows, "document", policy()), still, atol=1e-5)
        assert not torch.allclose(encoder.embed(rows, "query", policy()), still, atol=1e-3)  # dropout
    adaptation.release()
    assert all(p.requires_grad for p in encoder.model.parameters())
    assert encoder.model.train()[0].sub_modules["document"].training


def test_one_encoder_for_both_sides_cannot_train_one_side(tiny):
    with pytest.raises(
        BadInput, match=r"train\.sides: expected both, .* found query; set encoder\.sharing to separate"
    ):
        adapted(tiny, TrainConfig(sides="query"), (), policy())


def test_codes_and_several_layers_do_not_go_together():
    with pytest.raises(BadInput, match=r"as train\.matryoshka_layers is set"):
        TrainConfig.parse({"matryoshka_layers": [1], "codes": {"path": "some"}}, "options")
