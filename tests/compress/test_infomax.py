"""The infomax objective against naive sums, its scores against logarithms of probabilities, and what labels teach."""

import numpy as np
import pytest
import torch

from nearfar.compress.codec import Sample
from nearfar.compress.learn import infomax
from nearfar.compress.learn.infomax import _of_labels, entropy, loss_of
from nearfar.compress.registry import fit
from nearfar.core.errors import BadInput
from nearfar.core.ragged import Ragged
from nearfar.pipeline.compress import compress
from nearfar.pipeline.frontier import plan

D = 24


def distributions(books, labels, codes, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(codes) / 2, (books, labels)))


@pytest.mark.parametrize("shift", [0, 1, 2])
def test_the_loss_is_its_formula(shift):
    p = distributions(3, 7, 5)
    expected = 0.0
    for m in range(3):
        marginal = [sum(float(p[m, y, k]) for y in range(7)) / 7 for k in range(5)]
        information = 0.0
        for y in range(7):
            for k in range(5):
                information += float(p[m, y, k]) / 7 * np.log(float(p[m, y, k]) / marginal[k])
        expected -= information
        other = (m + shift) % 3
        others = [sum(float(p[other, y, k]) for y in range(7)) / 7 for k in range(5)]
        for k in range(5):
            for o in range(5):
                joint = sum(float(p[m, y, k] * p[other, y, o]) for y in range(7)) / 7
                expected += 0.5 * joint * np.log(joint / (marginal[k] * others[o])) if shift else 0
    assert float(loss_of(p, shift, independence=0.5)) == pytest.approx(expected, rel=1e-6)


def test_information_is_most_where_each_label_has_a_code_of_its_own():
    own = torch.eye(8).repeat(2, 1, 1)
    assert float(loss_of(own, 0)) == pytest.approx(-2 * np.log(8), rel=1e-5)
    assert float(loss_of(torch.full((2, 8, 8), 1 / 8), 0)) == pytest.approx(0, abs=1e-5)
    assert float(entropy(torch.full((4,), 0.25))) == pytest.approx(np.log(4))


def test_codes_that_say_the_same_twice_cost_their_entropy():
    own = torch.eye(8).repeat(2, 1, 1)
    assert float(loss_of(own, 1) - loss_of(own, 0)) == pytest.approx(2 * np.log(8), rel=1e-4)


def labelled(count, seed):
    """Unit documents of thirty topics, and a query of the same topic for each."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(30, size=count)
    places = np.random.default_rng(9).normal(size=(30, D))
    drawn = [places[topics] + 0.7 * rng.normal(size=(count, D)) for _ in range(2)]
    return tuple((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in drawn)


DOCUMENTS, QUERIES = labelled(900, 0)
SAMPLE = Sample(DOCUMENTS, QUERIES, Ragged.of([[row] for row in range(900)]))


@pytest.fixture(scope="module")
def codec():
    return fit("infomax", SAMPLE, 3)


def test_a_query_ranks_codes_by_their_probability(codec):
    codes = codec.encode(DOCUMENTS[:60])
    for query, scores in zip(QUERIES[:5], codec.score(QUERIES[:5], codes), strict=True):
        logits = codec.logits.astype(np.float64) @ query  # (M, K)
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        naive = np.array([sum(logs[m, code[m]] for m in range(3)) for code in codes])
        np.testing.assert_allclose(np.polyval(np.polyfit(naive, scores, 1), naive), scores, atol=1e-4)
        assert np.corrcoef(naive, scores)[0, 1] > 0.9999


def test_a_code_is_the_most_probable_one(codec):
    for document, code in zip(DOCUMENTS[:20], codec.encode(DOCUMENTS[:20]), strict=True):
        assert [int(np.argmax(book @ document)) for book in codec.logits] == code.tolist()


def test_learning_raises_information_about_other_labels(codec, monkeypatch):
    pairs = torch.from_numpy(np.stack(labelled(800, 1)))

    def loss(fitted):
        return float(loss_of(_of_labels(torch.from_numpy(fitted.logits), pairs, pairs[0, :0]), 0))

    monkeypatch.setattr(infomax, "RATE", 0.0)
    assert loss(codec) < 1.1 * loss(fit("infomax", SAMPLE, 3)) < 0


def test_more_independence_leaves_less_in_common(codec, monkeypatch):
    monkeypatch.setattr(infomax, "INDEPENDENCE", 0.0)
    free = fit("infomax", SAMPLE, 3)
    assert in_common(codec) < 0.9 * in_common(free)


def in_common(fitted):
    """Mutual information in nats of the first two bytes of new documents' codes."""
    first, second, _ = fitted.encode(labelled(3000, 2)[0]).astype(np.int64).T
    counts = np.zeros((256, 256))
    np.add.at(counts, (first, second), 1)
    joint = counts / counts.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    return (joint[joint > 0] * np.log(joint[joint > 0] / product[joint > 0])).sum()


@pytest.mark.parametrize("name", ["infomax", "key_value"])
@pytest.mark.parametrize("positives", [None, Ragged.of([[]] * 900)])
def test_without_labels_it_is_refused(name, positives):
    with pytest.raises(BadInput, match=rf"codec '{name}': expected queries labelled .*, found none; give .*") as caught:
        fit(name, Sample(DOCUMENTS, QUERIES, positives), 3)
    assert "--unlabelled" in str(caught.value)


@pytest.mark.parametrize("verb", [compress, plan])
def test_the_verbs_refuse_it_before_they_open_a_run(verb, tmp_path):
    named = {"codec": "infomax"} if verb is compress else {"codecs": ["infomax"]}
    with pytest.raises(BadInput, match="codec 'infomax': expected queries labelled"):
        verb(tmp_path / "no-such-run", unlabelled=True, **named)
