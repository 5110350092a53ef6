"""A reranker: its step against plain autograd, its losses against loops, a resumed run against a whole one."""

import math
import os
import signal

import numpy as np
import pytest
import torch
from torch.nn import functional

from nearfar.core.errors import Interrupted
from nearfar.data.batches import batch_source
from nearfar.data.read import from_records
from nearfar.encoder.precision import Policy
from nearfar.encoder.reranker import new_reranker
from nearfar.train.checkpoint import Checkpoints
from nearfar.train.rerank_config import RerankTrainConfig
from nearfar.train.reranker import LOSSES, Candidates, RerankTrainer
from tiny_models import pairs

CONFIG = RerankTrainConfig(batch_size=8, negatives=3, learning_rate=1e-3, evaluations=2)


@pytest.fixture(scope="module")
def source():
    rows = pairs(40)
    negatives = [[rows[(i + k) % 40][1] for k in range(1, i % 4)] for i in range(40)]
    records = [{"query": q, "positive": d, "negative": negatives[i], "group": str(i % 7)}
               for i, (q, d) in enumerate(rows)]  # fmt: skip
    return batch_source(from_records(records))


def trainer(source, folder, place, config=CONFIG, **options):
    reranker = new_reranker(folder, 64, 0)
    return RerankTrainer(reranker, source, config, Policy(budget_tokens=256), Checkpoints(place), "x",
                         lambda _: float(options.pop("metric", 0)), **options)  # fmt: skip


def test_losses_are_those_of_loops():
    scores = torch.randn(9, generator=torch.Generator().manual_seed(0))
    groups = [[0, 1, 2, 3], [4, 5], [6, 7, 8]]
    rows = torch.tensor([row for row, group in enumerate(groups) for _ in group])
    places = torch.tensor([place for group in groups for place in range(len(group))])
    softmax = sum(math.log(sum(math.exp(scores[i]) for i in group)) - float(scores[group[0]]) for group in groups)
    likely = [[torch.sigmoid(scores[i]) if i == group[0] else 1 - torch.sigmoid(scores[i]) for i in group]
              for group in groups]  # fmt: skip
    bce = sum(-sum(math.log(p) for p in group) / len(group) for group in likely)
    assert float(LOSSES["softmax"](scores, rows, places)) == pytest.approx(softmax, rel=1e-5)
    assert float(LOSSES["bce"](scores, rows, places)) == pytest.approx(bce, rel=1e-5)


def test_candidates_are_the_positive_judged_negatives_and_others_that_may_be_none(source):
    order = np.arange(len(source))
    drawn = Candidates(source, CONFIG).drawn(order, (0, 1))
    again = Candidates(source, CONFIG).drawn(order, (0, 1))
    assert drawn.values.tolist() == again.values.tolist()
    assert drawn.values.tolist() != Candidates(source, CONFIG).drawn(order, (0, 2)).values.tolist()
    for pair, row in zip(order, drawn, strict=True):
        query, (positive, *negatives) = source.queries[pair], row.tolist()
        assert positive == source.documents[pair]
        assert len(set(negatives)) == len(negatives) == 3
        judged = set(source.negatives[query].tolist())
        assert len(judged & set(negatives)) >= min(2, len(judged))
        assert not set(negatives) & set(source.known[query].tolist())
        assert all(source.groups[d] != source.groups[query] for d in set(negatives) - judged)


@pytest.mark.parametrize("loss", ["softmax", "bce"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_step_has_the_gradient_of_plain_autograd(source, undropped_folder, tmp_path, loss, threads):
    config = CONFIG.model_copy(update={"loss": loss})
    ours = trainer(source, undropped_folder, tmp_path, config)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with ours.reranker.training(ours.policy):
            assert len(ours.reranker.crew.models) == threads
            value = ours._forward_backward(ours._pairs(0), 0)
    finally:
        torch.set_num_threads(before)
    plain = new_reranker(undropped_folder, 64, 0).model
    rows = ours.candidates.drawn(ours._pairs(0), (0, 0, 1))
    total = torch.zeros(())
    for pair, row in zip(ours._pairs(0), rows, strict=True):
        read = [(source.texts[source.queries[pair]], source.texts[document]) for document in row]
        scores = plain(plain.preprocess(read))["scores"].flatten()
        truth = torch.tensor([1.0] + [0.0] * (len(row) - 1))
        one = functional.binary_cross_entropy_with_logits(scores, truth) if loss == "bce" else \
            -torch.log_softmax(scores, 0)[0]  # fmt: skip
        total = total + one / len(rows)
    total.backward()
    assert value == pytest.approx(total.item(), rel=1e-5)
    mine, theirs = ({name: p.grad for name, p in model.named_parameters() if p.grad is not None}
                    for model in (ours.reranker.model, plain))  # fmt: skip
    assert mine.keys() == theirs.keys()
    difference = math.sqrt(sum(float((mine[name] - theirs[name]).square().sum()) for name in mine))
    assert difference / math.sqrt(sum(float(g.square().sum()) for g in theirs.values())) < 1e-5


def test_a_resumed_run_has_the_same_bits(source, tiny_folder, tmp_path):
    whole = trainer(source, tiny_folder, tmp_path / "whole")
    whole.run()

    def press(progress):
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted, match="interrupted after step 3 of 5; go on with --resume"):
        trainer(source, tiny_folder, tmp_path / "parts", on_step=press).run()
    rest = trainer(source, tiny_folder, tmp_path / "parts")
    rest.resume()
    assert rest.progress.step == 3
    rest.run()
    assert rest.progress.losses == whole.progress.losses
    for one, other in zip(rest.reranker.model.parameters(), whole.reranker.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_best_weights_are_kept(source, tiny_folder, tmp_path):
    values = iter([0.1, 0.9, 0.2])
    run = RerankTrainer(new_reranker(tiny_folder, 64, 0), source, CONFIG, Policy(), Checkpoints(tmp_path), "x",
                        lambda reranker: seen.append(weights(reranker)) or next(values))  # fmt: skip
    seen = []
    progress = run.run()
    assert [metric for _, metric in progress.dev] == [0.1, 0.9, 0.2]
    assert progress.best_step == progress.dev[1][0]
    assert torch.equal(weights(run.reranker), seen[1])
    assert not torch.equal(seen[1], seen[2])


def weights(reranker):
    return torch.cat([p.detach().flatten().clone() for p in reranker.model.parameters()])
