"""Several gloo processes on loopback against one."""

import contextlib
from itertools import product

import pytest
import torch
from batches_of_tokens import distance, gradients_of, objective, policy, token_batch, without_dropout
from processes import outcomes, together
from test_loop import trainer, weights

from nearfar.core.errors import BadInput, Ended, ProcessFailed
from nearfar.encoder.load import load_encoder
from nearfar.train.adapt import adapted
from nearfar.train.config import TrainConfig
from nearfar.train.distributed import Workers, launched
from nearfar.train.sharding import sharded, whole
from tiny_models import tiny_static

ALL = 1 << 40
CASES = [
    {},
    {"learn_temperature": True, "directions": ("query_to_document", "document_to_query"), "partition": "per_direction"},
    {"learn_temperature": True, "separable": False},
    {"keep": ALL},
    {"keep": 60_000},
    {"dropout": False},
    {"batches": 3},
    {"queries": 1, "documents": 5, "learn_temperature": True},
    {"lora": {"rank": 4}, "freeze": 1},
    {"budget": 4096},  # two micro-batches: the third process has none
]


def gradients(workers, base, case, *, shard=False, exact=False):
    """Losses and gradients of one or several batches; exact ones in double precision, by torch's layers."""
    settings = dict(case)
    keep, dropout, batches = settings.pop("keep", 0), settings.pop("dropout", True), settings.pop("batches", 1)
    sizes = {name: settings.pop(name) for name in ("queries", "documents") if name in settings}
    encoder = tiny_static() if base == "static" else load_encoder(base)
    chosen = policy(keep_bytes=keep, budget_tokens=settings.pop("budget", 128))
    separable = settings.pop("separable", True)
    adapting = {name: settings.pop(name) for name in ("lora", "freeze") if name in settings and base != "static"}
    loss = objective(**settings)
    loss.separable = separable
    if not dropout:
        without_dropout(encoder)
    if adapting:
        adapted(encoder, TrainConfig(**adapting), (), chosen)
    encoder = sharded(encoder, workers.size) if shard else encoder

    if exact:
        encoder.model.double()

    def run():
        made = [token_batch(encoder, **sizes, seed=seed) for seed in range(batches)]
        results = [workers.step(encoder, batch, loss, chosen) for batch in made]
        parameters = [*encoder.model.parameters(), *loss.parameters()]
        workers.sum_gradients([p for p in parameters if p.requires_grad])
        return [float(result.loss) for result in results]

    with contextlib.nullcontext() if exact else encoder.training(chosen):
        losses, found = gradients_of(encoder, loss, run)
    return losses, {name: whole(gradient).numpy() for name, gradient in found.items()}


def every_case(workers, bases):
    return [gradients(workers, base, case) for base in bases for case in CASES]


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_processes_have_the_gradient_of_one(size, tiny_folder):
    bases = ("static", str(tiny_folder))
    found = together(size, every_case, bases)
    for number, (base, case) in enumerate(product(bases, CASES)):
        losses, reference = gradients(Workers(), base, case)
        for values, computed in (of_rank[number] for of_rank in found):
            assert values == pytest.approx(losses, rel=1e-6), case
            assert distance(tensors(reference), tensors(computed)) <= 1e-5, case
            assert all((computed[name] == found[0][number][1][name]).all() for name in reference), case


def tensors(arrays):
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def rank_gradients(rank):
    """Gradients of three parameters by rank: a matrix, a table that only some reach, and one that nobody does."""
    generator = torch.Generator().manual_seed(rank)
    rows = torch.randperm(50, generator=generator)[: 9 * rank].sort().values  # the first process reaches none
    values = torch.randn(len(rows), 4, generator=generator)
    table = (
        torch.sparse_coo_tensor(rows[None], values, (50, 4), is_coalesced=True, check_invariants=True) if rank else None
    )
    return [torch.randn(3, 2, generator=generator), table, None]


def summed(workers):
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((3, 2), (50, 4), (5,))]
    for parameter, gradient in zip(parameters, rank_gradients(workers.rank), strict=True):
        parameter.grad = gradient
    workers.sum_gradients(parameters)
    dense, table, none = (parameter.grad for parameter in parameters)
    assert none is None
    assert table.is_sparse
    assert table.is_coalesced()
    return dense.numpy(), table.indices()[0].numpy(), table.to_dense().numpy()


def test_a_sparse_gradient_is_summed_as_a_dense_one_and_stays_sparse():
    dense, tables, _ = zip(*map(rank_gradients, range(3)), strict=True)
    whole_table = tables[1].to_dense() + tables[2].to_dense()
    for matrix, rows, table in together(3, summed):
        assert torch.equal(torch.from_numpy(table), whole_table)
        assert rows.tolist() == whole_table.any(dim=1).nonzero()[:, 0].tolist()
        assert torch.allclose(torch.from_numpy(matrix), torch.stack(dense).sum(dim=0))


SHARDED = [
    {},
    {"learn_temperature": True, "batches": 2},
    {"budget": 4096},
    {"keep": ALL},
    {"dropout": False},
    {"lora": {"rank": 4}},
    {"freeze": 1},
]


def sharded_cases(workers, base):
    return [gradients(workers, base, case, shard=True) for case in SHARDED]


def test_spread_weights_have_the_gradient_of_whole_ones(undropped_folder):
    """Three processes: they get different numbers of micro-batches, and layers that cannot be cut evenly."""
    base = str(undropped_folder)
    found = together(3, sharded_cases, base)
    for number, case in enumerate(SHARDED):
        losses, reference = gradients(Workers(), base, case, exact=True)
        for values, computed in (of_rank[number] for of_rank in found):
            assert values == pytest.approx(losses, rel=1e-6), case
            assert distance(tensors(reference), tensors(computed)) <= 1e-5, case


def spread_run(workers, folder, steps, base):
    return trained(workers, folder, steps, base, shard=True, learn_temperature=True)


@pytest.mark.slow
def test_a_run_goes_on_with_weights_spread_over_processes_and_whole_again(undropped_folder, tmp_path):
    base = str(undropped_folder)
    whole_weights, losses, _ = spread_run(Workers(), tmp_path / "whole", None, base)
    spread_run(Workers(), tmp_path / "run", 4, base)
    together(2, spread_run, tmp_path / "run", 8, base)
    found, again, _ = spread_run(Workers(), tmp_path / "run", None, base)
    assert again == pytest.approx(losses, rel=1e-4)
    assert distance(tensors(whole_weights), tensors(found)) <= 1e-4


def trained(workers, folder, steps, base="static", **settings):
    """Train, or go on, and stop after `steps` steps of 12; the weights and what was written by whom."""

    def on_step(progress, _result):
        if progress.step == steps:
            raise KeyboardInterrupt

    encoder = tiny_static() if base == "static" else load_encoder(base)
    run = trainer(folder, workers=workers, on_step=on_step, encoder=encoder, accumulate=2, checkpoint_minutes=0,
                  epochs=4, on_eval=lambda _: float(workers.rank), **settings)  # fmt: skip
    if run.checkpoints.paths():
        run.resume()
    with contextlib.suppress(KeyboardInterrupt):
        run.run()
    return {name: tensor.numpy() for name, tensor in weights(run).items()}, run.progress.losses, run.progress.dev


def queue_run(workers, folder, steps):
    return trained(workers, folder, steps, queue={"size": 20, "momentum": 0.9}, mixed_negatives={"count": 2})


@pytest.mark.slow
@pytest.mark.parametrize("run", [trained, queue_run])
def test_a_run_goes_on_with_another_number_of_processes(tmp_path, run):
    whole, losses, _ = run(Workers(), tmp_path / "whole", None)
    assert len(losses) == 12
    run(Workers(), tmp_path / "run", 4)
    together(2, run, tmp_path / "run", 8)
    ends = together(3, run, tmp_path / "run", None)
    for found, again, dev in ends:
        assert again == pytest.approx(losses, rel=1e-4)
        assert distance(tensors(whole), tensors(found)) <= 1e-4
        assert {metric for _, metric in dev} == {0.0}  # the first process's
        assert all((found[name] == ends[0][0][name]).all() for name in found)


def fails(workers, rank):
    if workers.rank == rank:
        raise BadInput("a.jsonl: expected words, found none; write some")
    workers.any(False) if rank else workers.wait_for_first()


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_one_process_says_what_went_wrong_and_all_end(rank):
    found = outcomes(2, fails, rank)
    assert isinstance(found[rank], ProcessFailed)
    assert str(found[rank]) == f"process {rank}: a.jsonl: expected words, found none; write some"
    assert isinstance(found[1 - rank], Ended)


def test_alone_nothing_is_joined():
    with launched() as workers:
        assert (workers.rank, workers.size, workers.any(True), workers.first(lambda: 3)) == (0, 1, True, 3)
    assert not torch.distributed.is_initialized()


def test_more_processes_than_work_are_refused():
    workers = Workers(0, 3)
    workers.check_divides(3, "pairs of a batch")
    with pytest.raises(BadInput, match="expected at most 2 processes, one for each of the 2 pairs of a batch, found 3"):
        workers.check_divides(2, "pairs of a batch")


def test_several_processes_need_a_cpu_or_a_gpu_each():
    assert Workers(1, 2, 1).device("cpu") == "cpu"
    assert Workers().device("mps") == "mps"
    with pytest.raises(BadInput, match="expected cuda or cpu for several processes, found mps"):
        Workers(1, 2, 1).device("mps")
