"""Row-wise AdamW against dense AdamW and torch's SparseAdam without momentum, and a loop over rows."""

import math

import pytest
import torch

from nearfar.train import row_adamw
from nearfar.train.config import TrainConfig
from nearfar.train.optimizer import adamw
from nearfar.train.row_adamw import RowAdamW
from nearfar.train.sharding import clip_gradients

ROWS, COLUMNS, STEPS = 11, 6, 8
SETTINGS = {"lr": 0.1, "weight_decay": 0.05}
BETAS = (0.0, 0.999)  # of what a table is held against
TINY = 1e-12  # SparseAdam adds its epsilon before the bias correction, AdamW after it


@pytest.fixture(autouse=True, params=[True, False], ids=["compiled", "torch"])
def compiled(request, monkeypatch):
    monkeypatch.setattr(row_adamw, "has_kernels", lambda _: request.param)
    return request.param


def start():
    return torch.nn.Parameter(torch.randn(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)))


def gradients(share):
    """One dense gradient a step, with rows of zeros where a row has none, and the rows that have one."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        rows = (torch.rand(ROWS, generator=generator) < share).nonzero()[:, 0]
        values = torch.randn(len(rows), COLUMNS, generator=generator)
        yield rows, values


def sparse(rows, values):
    shape = (ROWS, COLUMNS)
    return torch.sparse_coo_tensor(rows[None], values.clone(), shape, is_coalesced=True, check_invariants=True)


def trained(optimizer, parameter, gradients_, *, rates=None):
    for number, gradient in enumerate(gradients_):
        parameter.grad = gradient
        if rates:
            optimizer.param_groups[0]["lr"] = rates[number]
        optimizer.step()
        optimizer.zero_grad()
    return parameter.detach()


def test_when_every_row_has_a_gradient_it_is_adamw_without_momentum():
    ours, theirs = start(), start()
    rates = [0.1, 0.2, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01]
    trained(RowAdamW([ours], **SETTINGS, fused=True), ours, (sparse(*g) for g in gradients(2)), rates=rates)
    dense = (torch.zeros(ROWS, COLUMNS).index_copy(0, *g) for g in gradients(2))
    trained(torch.optim.AdamW([theirs], **SETTINGS, betas=BETAS, fused=True), theirs, dense, rates=rates)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    found = []
    for threads in (1, 2, 7, 30):
        monkeypatch.setattr(torch, "get_num_threads", lambda value=threads: value)
        found.append(start())
        trained(RowAdamW([found[-1]], **SETTINGS, fused=True), found[-1], (sparse(*g) for g in gradients(0.4)))
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_without_decay_it_is_torchs_sparse_adam():
    ours, theirs = start(), start()
    trained(RowAdamW([ours], lr=0.1, eps=TINY, weight_decay=0, fused=True), ours, (sparse(*g) for g in gradients(0.4)))
    trained(
        torch.optim.SparseAdam([theirs], lr=0.1, betas=BETAS, eps=TINY), theirs, (sparse(*g) for g in gradients(0.4))
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_rows_without_a_gradient_are_not_touched():
    """Every number by a loop."""
    parameter = start()
    weights = parameter.detach().double().tolist()
    moments = [[0.0] * COLUMNS for _ in range(ROWS)]
    for step, (rows, values) in enumerate(gradients(0.3), 1):
        for row, gradient in zip(rows.tolist(), values.double().tolist(), strict=True):
            for column, g in enumerate(gradient):
                moments[row][column] = 0.999 * moments[row][column] + 0.001 * g * g
                second = moments[row][column] / (1 - 0.999**step)
                weights[row][column] *= 1 - 0.1 * 0.05
                weights[row][column] -= 0.1 * g / (math.sqrt(second) + 1e-8)
    trained(RowAdamW([parameter], **SETTINGS, fused=True), parameter, (sparse(*g) for g in gradients(0.3)))
    torch.testing.assert_close(parameter.detach().double(), torch.tensor(weights).double(), rtol=1e-5, atol=1e-5)


def test_a_gradient_without_rows_changes_nothing():
    parameter = start()
    nothing = sparse(torch.empty(0, dtype=torch.int64), torch.empty(0, COLUMNS))
    assert torch.equal(trained(RowAdamW([parameter], **SETTINGS, fused=True), parameter, [nothing]), start())


def test_dense_parameters_beside_a_table_are_adamws():
    table, ours, theirs = start(), start(), start()
    mixed, plain = RowAdamW([table, ours], **SETTINGS, fused=True), torch.optim.AdamW([theirs], **SETTINGS, fused=True)
    for rows, values in gradients(0.4):
        table.grad = sparse(rows, values)
        ours.grad = torch.zeros(ROWS, COLUMNS).index_copy(0, rows, values)
        theirs.grad = ours.grad.clone()
        mixed.step()
        plain.step()
        assert table.grad.is_sparse
        mixed.zero_grad(set_to_none=False)
        assert table.grad is None
        assert not ours.grad.any()
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("largest", [0.5, 100.0])
def test_clipping_counts_rows_as_the_dense_gradient_would(largest):
    ours, theirs = [start(), start()], [start(), start()]
    rows, values = next(gradients(0.5))
    for one, parameters in ((True, ours), (False, theirs)):
        parameters[0].grad = sparse(rows, values) if one else sparse(rows, values).to_dense()
        parameters[1].grad = torch.ones(ROWS, COLUMNS)
    clip_gradients(ours, largest)
    torch.nn.utils.clip_grad_norm_(theirs, largest)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad.to_dense(), other.grad)


def test_training_uses_it(static):
    assert isinstance(adamw([static.model], TrainConfig(), peak=0.1), RowAdamW)
