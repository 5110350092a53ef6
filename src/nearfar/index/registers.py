"""Codes of four bits looked up in the processor's registers, 32 documents at once.

PQ fast scan (André et al., 2015): a table of 16 entries fits a register, whose bytes one instruction picks by 32 codes.
"""

# mypy: disable-error-code="misc, no-untyped-call, call-arg"
from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from nearfar.compress.codec import Codes, Vectors
from nearfar.core.compiled import compiled

BLOCK = 32  # documents whose codes lie side by side: byte 0 of each, byte 1 of each, …
LINE = 64  # bytes that come from the memory at once
BYTE, WORD, SIZE = ir.IntType(8), ir.IntType(16), ir.IntType(64)
HALF, WHOLE, WORDS = ir.VectorType(BYTE, 16), ir.VectorType(BYTE, 32), ir.VectorType(WORD, 16)

Sums = NDArray[np.uint16]


def in_blocks(codes: Codes) -> Codes:
    """Codes (n, M) of n documents, a multiple of 32, as (n / 32, M, 32)."""
    return np.ascontiguousarray(codes.reshape(-1, BLOCK, codes.shape[1]).transpose(0, 2, 1))


def by_document(blocks: Codes) -> Codes:
    """What `in_blocks` was given."""
    codes: Codes = blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])
    return codes


def rounded(tables: Vectors) -> tuple[Codes, np.float32]:
    """Tables (G, 16) as bytes, and the step between two of them; what each table has at the least is left out.

    One step serves all tables, and is so long that no sum over them is more than sixteen bits hold.
    """
    above = tables - tables.min(axis=1, keepdims=True)
    most = above.max(axis=1, initial=0)
    step = max(most.max(initial=0) / 255, most.sum() / (65_535 - len(tables)), np.finfo(np.float32).tiny)
    return np.rint(above / step).astype(np.uint8), np.float32(step)


def _picks() -> str:
    """Instruction that picks bytes of a register by those of another; empty where there is none that is known."""
    if {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"} & os.environ.keys():  # numba may compile for another processor
        return ""
    found = binding.get_host_cpu_features()
    if found.get("avx2"):
        return "llvm.x86.avx2.pshuf.b"
    if found.get("ssse3"):
        return "llvm.x86.ssse3.pshuf.b.128"
    return "llvm.aarch64.neon.tbl1.v16i8" if platform.machine().lower() in {"arm64", "aarch64"} else ""


PICKS = _picks()


@compiled()
def sums_one_by_one(blocks: Codes, block: int, tables: Codes, sums: Sums) -> None:
    """`sums_of` without such an instruction."""
    for i in range(BLOCK):
        found = np.int64(0)
        for byte in range(blocks.shape[1]):
            code = blocks[block, byte, i]
            found += np.int64(tables[2 * byte, code & 15]) + np.int64(tables[2 * byte + 1, code >> 4])
        sums[i] = found


@intrinsic
def _sums_at_once(_: Any, blocks: Any, block: Any, tables: Any, sums: Any) -> Any:  # noqa: ARG001
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        blocks, tables, sums = (
            context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 2, 3)
        )
        width = cgutils.unpack_tuple(builder, blocks.shape)[1]
        start = builder.mul(builder.mul(arguments[1], width), ir.Constant(SIZE, BLOCK))
        whole, odd = (cgutils.alloca_once_value(builder, _all(WORDS, 0)) for _ in range(2))
        with cgutils.for_range(builder, width) as loop:
            place = builder.mul(loop.index, ir.Constant(SIZE, BLOCK))  # of the codes, and of the byte's two tables
            codes = _read(builder, blocks.data, builder.add(start, place), WHOLE)
            lower, upper = builder.and_(codes, _all(WHOLE, 15)), builder.lshr(codes, _all(WHOLE, 4))
            for half, wanted in enumerate((lower, upper)):
                table = _read(builder, tables.data, builder.add(place, ir.Constant(SIZE, 16 * half)), HALF)
                found = builder.bitcast(_picked(builder, table, wanted), WORDS)  # two documents a word
                builder.store(builder.add(builder.load(whole), found), whole)
                builder.store(builder.add(builder.load(odd), builder.lshr(found, _all(WORDS, 8))), odd)
        upper = builder.load(odd)
        lower = builder.sub(builder.load(whole), builder.shl(upper, _all(WORDS, 8)))
        in_turn = builder.shuffle_vector(lower, upper, _places(i // 2 + 16 * (i % 2) for i in range(BLOCK)))
        builder.store(in_turn, builder.bitcast(sums.data, in_turn.type.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(blocks, types.int64, tables, sums), build


@intrinsic
def fetch(_: Any, blocks: Any, block: Any) -> Any:  # noqa: ARG001
    """Have the memory bring the codes of a block near, which will be asked for."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        size = builder.mul(cgutils.unpack_tuple(builder, array.shape)[1], ir.Constant(SIZE, BLOCK))
        start, number = builder.mul(arguments[1], size), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [array.data.type, number, number, number])
        ask = builder.module.declare_intrinsic("llvm.prefetch", (array.data.type,), kind)
        to_read, for_long, data = (ir.Constant(number, value) for value in (0, 3, 1))
        with cgutils.for_range(builder, builder.udiv(size, ir.Constant(SIZE, LINE))) as loop:
            place = builder.add(start, builder.mul(loop.index, ir.Constant(SIZE, LINE)))
            builder.call(ask, [builder.gep(array.data, [place]), to_read, for_long, data])
        return context.get_dummy_value()

    return types.void(blocks, types.int64), build


def _picked(builder: Any, table: Any, wanted: Any) -> Any:
    """Entries of a table (16,) that are wanted (32,)."""
    of = WHOLE if "avx2" in PICKS else HALF
    pick = builder.module.declare_intrinsic(PICKS, (), ir.FunctionType(of, [of, of]))
    if of is WHOLE:
        return builder.call(pick, [builder.shuffle_vector(table, table, _places([*range(16)] * 2)), wanted])
    halves = (builder.shuffle_vector(wanted, wanted, _places(range(at, at + 16))) for at in (0, 16))
    return builder.shuffle_vector(*(builder.call(pick, [table, half]) for half in halves), _places(range(BLOCK)))


def _read(builder: Any, data: Any, place: Any, of: Any) -> Any:
    return builder.load(builder.bitcast(builder.gep(data, [place]), of.as_pointer()), align=1)


def _all(of: Any, value: int) -> Any:
    return ir.Constant(of, [value] * of.count)


def _places(values: Any) -> Any:
    values = list(values)
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), values)


@compiled()
def sums_at_once(blocks: Codes, block: int, tables: Codes, sums: Sums) -> None:
    """For each document of a block, the sum of the entries of the tables (2M, 16) that its code names, (32,)."""
    _sums_at_once(blocks, block, tables, sums)


sums_of = sums_at_once if PICKS else sums_one_by_one
