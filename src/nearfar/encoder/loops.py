"""Loops of the training layers over elements, each one pass over memory: what torch does in several on a CPU.

Arrays are fp32, or bf16 as its bits in uint16; sums are fp32. Dropout draws no random state: whether an element
survives is a hash of its position and of two keys, so that the backward finds out again instead of reading a mask.
Every loop runs on one core and without the GIL.

They are one long file because numba's cache on disk notices changes of a loop's own file alone. They take many
arguments because numba counts references of the arrays that a tuple holds.
"""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, ARG001, ARG005, PLR0913, PLR0917
from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from nearfar.core.compiled import compiled

U, F = np.uint32, np.float32
ONE = F(1)
APART = 256  # elements: rows that are closer than a few vectors are gone through element by element

fast = compiled(fastmath=True)
inlined = njit(inline="always", fastmath=True, error_model="numpy")


@intrinsic
def bits(_context, _number):
    """Bits of an fp32 number."""
    return types.uint32(types.float32), lambda _, builder, __, args: builder.bitcast(args[0], ir.IntType(32))


@intrinsic
def number(_context, _bits):
    """The fp32 number of these bits."""
    return types.float32(types.uint32), lambda _, builder, __, args: builder.bitcast(args[0], ir.FloatType())


def wide(x):
    """An element as fp32."""


def narrow(x, like):
    """An fp32 number in the type of `like`: itself, or bf16 rounded to the nearest, ties to even."""


@overload(wide, inline="always")
def _wide(x):
    if isinstance(x, types.Integer):
        return lambda x: number(U(U(x) << U(16)))
    return lambda x: x


@overload(narrow, inline="always")
def _narrow(x, like):
    if isinstance(like, types.Integer):
        return lambda x, like: _bf16(x)
    return lambda x, like: x


@inlined
def _bf16(x):
    u = bits(x)
    return np.uint16(U(u + U(U(0x7FFF) + U(U(u >> U(16)) & U(1)))) >> U(16))


@inlined
def survives(position, keys, threshold):
    """Whether the element at a position of less than 2^32 survives dropout; the hash of MurmurHash3's finaliser."""
    h = U(U(position) * U(0x9E3779B1) + keys[0])
    h = U(U(h ^ U(h >> U(16))) * U(0x85EBCA6B))
    h = U(U(h ^ U(h >> U(13))) ^ keys[1])
    h = U(h * U(0xC2B2AE35))
    return U(h ^ U(h >> U(16))) >= threshold


@inlined
def ordered(x):
    """An integer greater where the number is: their maximum is found a vector at a time, that of floats is not."""
    i = np.int32(bits(x))
    return np.int32(i ^ np.int32(np.int32(i >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@inlined
def unordered(i):
    """The inverse of `ordered`."""
    return number(U(np.int32(i ^ np.int32(np.int32(i >> np.int32(31)) & np.int32(0x7FFFFFFF)))))


@inlined
def exp(x):
    """Power e^x of x at most 80, to 2e-7 of it (2^n times a Taylor polynomial of 2^f)."""
    t = max(x, F(-87)) * F(1.4426950408889634)
    n = np.floor(t + F(0.5))
    f = t - n
    p = F(1.5403530e-4)
    p = p * f + F(1.3333558e-3)
    p = p * f + F(9.6181291e-3)
    p = p * f + F(5.5504109e-2)
    p = p * f + F(2.4022651e-1)
    p = p * f + F(6.9314718e-1)
    p = p * f + ONE
    return number(U(U(np.int32(n) + np.int32(127)) << U(23))) * p


@inlined
def normal(x):
    """Cumulative distribution and density of the standard normal (Abramowitz & Stegun 7.1.26, to 1.5e-7)."""
    z = abs(x) * F(math.sqrt(0.5))
    t = ONE / (ONE + F(0.3275911) * z)
    p = ((((F(1.061405429) * t - F(1.453152027)) * t) + F(1.421413741)) * t - F(0.284496736)) * t + F(0.254829592)
    e = exp(-z * z)
    tail = F(0.5) * p * t * e
    return (ONE - tail if x >= F(0) else tail), e * F(1 / math.sqrt(2 * math.pi))


@fast
def head_places(groups, heads, parts):
    """Of each row of heads, the token it belongs to and its place among the token's parts · heads, (rows, 2).

    The rows of a group are (parts, rows, heads, length), one group after another.
    """
    tokens = 0
    for rows, length in groups:
        tokens += rows * length
    places = np.empty((tokens * parts * heads, 2), np.uint32)
    start = here = 0
    for rows, length in groups:
        for part in range(parts):
            for row in range(rows):
                for head in range(heads):
                    for position in range(length):
                        places[here, 0] = start + row * length + position
                        places[here, 1] = part * heads + head
                        here += 1
        start += rows * length
    return places


@fast
def split_heads(joined, bias, places, split):
    """Rows of heads (parts · heads · tokens, width) out of joined + bias, (tokens, parts · heads · width)."""
    width = split.shape[1]
    joined, bias = joined.reshape(len(joined), -1, width), bias.reshape(-1, width)
    for i in range(len(places)):
        token, head = places[i, 0], places[i, 1]
        source, add, out = joined[token, head], bias[head], split[i]
        for c in range(width):
            out[c] = narrow(wide(source[c]) + add[c], out[c])


@fast
def merge_heads(split, places, joined):
    """The inverse of `split_heads`, without a bias."""
    width = split.shape[1]
    joined = joined.reshape(len(joined), -1, width)
    for i in range(len(places)):
        token, head = places[i, 0], places[i, 1]
        for c in range(width):
            joined[token, head, c] = split[i, c]


@fast
def softmax_dropout(scores, logsums, first, keys, threshold, scale):
    """Scores (rows, length) -> softmax, then dropout, in place; logsums (rows,) is what the backward needs."""
    rows, length = scores.shape
    powers = np.empty(length, np.float32)
    for i in range(rows):
        top = np.int32(-(2**31))
        for j in range(length):
            top = max(top, ordered(wide(scores[i, j])))
        highest = unordered(top)
        total = F(0)
        for j in range(length):
            power = exp(wide(scores[i, j]) - highest)
            powers[j] = power
            total += power
        logsums[i] = highest + F(np.log(total))
        by = scale / total
        position = first + i * length
        for j in range(length):
            kept = by if survives(position + j, keys, threshold) else F(0)
            scores[i, j] = narrow(powers[j] * kept, scores[i, j])


@fast
def softmax_dropout_backward(scores, grads, logsums, first, keys, threshold, scale):
    """Scores -> what `softmax_dropout` gave; grads: from those of that to those of the scores; both in place."""
    rows, length = scores.shape
    room = np.empty((2, length + APART), np.float32)
    probabilities, passed = room[0], room[1]
    for i in range(rows):
        position, logsum = first + i * length, logsums[i]
        dot = F(0)
        for j in range(length):
            kept = scale if survives(position + j, keys, threshold) else F(0)
            p = exp(wide(scores[i, j]) - logsum)
            g = wide(grads[i, j]) * kept
            dot += p * g
            probabilities[j] = p
            passed[j] = g
            scores[i, j] = narrow(p * kept, scores[i, j])
        for j in range(length):
            grads[i, j] = narrow(probabilities[j] * (passed[j] - dot), grads[i, j])


@fast
def gelu(inner, bias, outer):
    """Activation: inner += bias, outer = GELU(inner) = inner · Φ(inner), (tokens, inner size)."""
    for i in range(inner.shape[0]):
        for j in range(inner.shape[1]):
            x = wide(inner[i, j]) + bias[j]
            cumulative, _ = normal(x)
            inner[i, j] = narrow(x, inner[i, j])
            outer[i, j] = narrow(x * cumulative, outer[i, j])


@fast
def gelu_backward(inner, grads, outer, bias_grad):
    """Grads of outer -> those of inner, in place; bias_grad += their column sums; outer = GELU(inner) once more."""
    for i in range(inner.shape[0]):
        for j in range(inner.shape[1]):
            x = wide(inner[i, j])
            cumulative, density = normal(x)
            outer[i, j] = narrow(x * cumulative, outer[i, j])
            grads[i, j] = narrow(wide(grads[i, j]) * (cumulative + x * density), grads[i, j])
        for j in range(inner.shape[1]):
            bias_grad[j] += wide(grads[i, j])


@fast
def add_norm(branch, bias, residual, weight, shift, eps, keys, threshold, scale, normed, deviations, result):
    """Sum and norm: result = LayerNorm(dropout(branch + bias) + residual); `normed` is before weight and shift."""
    tokens, width = branch.shape
    total = np.empty(width, np.float32)
    for i in range(tokens):
        position = i * width
        mean = F(0)
        for j in range(width):
            kept = scale if survives(position + j, keys, threshold) else F(0)
            t = (wide(branch[i, j]) + bias[j]) * kept + wide(residual[i, j])
            total[j] = t
            mean += t
        mean /= F(width)
        square = F(0)
        for j in range(width):
            t = total[j] - mean
            square += t * t
        deviation = ONE / np.sqrt(square / F(width) + eps)
        deviations[i] = deviation
        for j in range(width):
            normed[i, j] = narrow((total[j] - mean) * deviation, normed[i, j])
        for j in range(width):
            result[i, j] = narrow((total[j] - mean) * deviation * weight[j] + shift[j], result[i, j])


@fast
def add_norm_backward(
    grads, more, normed, deviations, weight, keys, threshold, scale, residual_grad, branch_grad, sums
):
    """Gradients at residual and branch from grads + more; sums (3, d) += those of weight, shift and bias."""
    tokens, width = grads.shape
    total = np.empty(width, np.float32)
    weight_sum, shift_sum, bias_sum = sums[0], sums[1], sums[2]
    for i in range(tokens):
        position, deviation = i * width, deviations[i]
        mean, dot = F(0), F(0)
        for j in range(width):
            g = wide(grads[i, j]) + wide(more[i, j])
            total[j] = g
            g *= weight[j]
            mean += g
            dot += g * wide(normed[i, j])
        mean /= F(width)
        dot /= F(width)
        for j in range(width):
            weight_sum[j] += total[j] * wide(normed[i, j])
            shift_sum[j] += total[j]
        for j in range(width):
            total[j] = (total[j] * weight[j] - mean - wide(normed[i, j]) * dot) * deviation
            residual_grad[i, j] = narrow(total[j], residual_grad[i, j])
        for j in range(width):
            kept = scale if survives(position + j, keys, threshold) else F(0)
            branch_grad[i, j] = narrow(total[j] * kept, branch_grad[i, j])
            bias_sum[j] += total[j] * kept


@fast
def add_columns(values, total):
    """Add: total (columns,) += the sums of the columns of values (rows, columns)."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            total[j] += wide(values[i, j])


@fast
def add_scaled(part, scale, total):
    """Add: total += scale · part, both (rows, columns)."""
    for i in range(part.shape[0]):
        for j in range(part.shape[1]):
            total[i, j] += wide(part[i, j]) * scale
