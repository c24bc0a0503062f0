"""The loops over time of a recurrence as machine code, which numba compiles on first use.

Rows of a batch are independent through time. A call runs the rows of one range through all time
steps, four rows (a tile) at once, so that the weight is read once for four rows of the batch, and
threads that run different rows never wait for each other. The bits of a row do not depend on the
rows beside it: a tile that is not full is padded with rows of zeros. Units are padded to a multiple
of eight, so that each loop over units has no remainder.

All of the code is in this file: numba compiles a function again when its own file has changed, and
looks at no other.

numba writes the machine code into a cache beside this file, or, where it may not, into the user's
cache folder. Compiling contracts a product and a sum to one operation, as torch's products do; no
option is set that lets the compiler assume that numbers are finite.

Formulations and functions are numbers here (FORMULATIONS, FUNCTIONS). An argument that is not
wanted is an array without elements.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

TILE = 4  # rows of a batch that run together
LANES = 8  # units are padded to a multiple of it
VECTOR = 32  # bytes of the vectors that numbers are added in

FORMULATIONS = {"current": 0, "rate": 1, "update": 2}
CURRENT, RATE, UPDATE = 0, 1, 2
FUNCTIONS = {
    "linear": 0,
    "relu": 1,
    "tanh": 2,
    "sigmoid": 3,
    "softplus": 4,
    "retanh": 5,
    "power": 6,
}
LINEAR, RELU, TANH, SIGMOID, SOFTPLUS, RETANH, POWER = range(7)
GIVEN = 7  # in a backward pass: the slopes are given in place of the values of f

OPTIONS: Any = {
    "cache": True,
    "nogil": True,
    "fastmath": {"contract", "nsz"},
    "error_model": "numpy",
}
compiled: Any = njit(**OPTIONS)
inlined: Any = njit(inline="always", **OPTIONS)


def _add_product(_: Any, total: Any, source: Any, panels: Any) -> Any:
    """add_product(total, source, panels): total (TILE, width) += source (TILE, width) @ matrix.

    For two vectors of columns, or the last vector, a loop over the rows of the matrix adds the
    products with `source` to sums that stay in registers. Each number of the result is a sum in the
    order of the rows. `panels` is the matrix as `fill_panels` orders it. LLVM makes code that takes
    twice the time of the same loop in Python.
    """
    dtype, size = total.dtype, total.dtype.bitwidth // 8
    lanes = VECTOR // size

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums, numbers, matrix = (
            context.make_array(kind)(context, builder, value=value)
            for kind, value in zip(signature.args, args, strict=True)
        )
        vector = ir.VectorType(context.get_data_type(dtype), lanes)
        index = context.get_value_type(types.intp)
        _, width = cgutils.unpack_tuple(builder, sums.shape)

        def number(value: int) -> Any:
            return ir.Constant(index, value)

        def vector_at(array: Any, place: Any) -> Any:
            return builder.bitcast(builder.gep(array.data, [place]), vector.as_pointer())

        def repeated(k: int, row: Any) -> Any:
            place = builder.add(builder.mul(number(k), width), row)
            value = builder.load(builder.gep(numbers.data, [place]))
            first, none = ir.Constant(ir.IntType(32), 0), ir.Constant(vector, ir.Undefined)
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            return builder.shuffle_vector(builder.insert_element(none, value, first), none, zeros)

        def add_columns(column: Any, vectors: int) -> None:
            places = [
                [
                    builder.add(builder.mul(number(k), width), builder.add(column, number(v)))
                    for v in range(0, vectors * lanes, lanes)
                ]
                for k in range(TILE)
            ]
            registers = [[cgutils.alloca_once(builder, vector) for _ in row] for row in places]
            each = [(k, v) for k in range(TILE) for v in range(vectors)]
            for k, v in each:
                first = builder.load(vector_at(sums, places[k][v]), align=size)
                builder.store(first, registers[k][v])
            panel = builder.mul(column, width)
            with cgutils.for_range(builder, width) as loop:
                row = builder.add(panel, builder.mul(loop.index, number(vectors * lanes)))
                weights = [
                    builder.load(vector_at(matrix, builder.add(row, number(v))), align=size)
                    for v in range(0, vectors * lanes, lanes)
                ]
                factors = [repeated(k, loop.index) for k in range(TILE)]
                for k, v in each:
                    product = builder.fmul(factors[k], weights[v], flags=("contract",))
                    old = builder.load(registers[k][v])
                    builder.store(builder.fadd(old, product, flags=("contract",)), registers[k][v])
            for k, v in each:
                builder.store(
                    builder.load(registers[k][v]), vector_at(sums, places[k][v])
                ).align = size

        both = number(2 * lanes)
        pairs = builder.udiv(width, both)
        with cgutils.for_range(builder, pairs) as loop:
            add_columns(builder.mul(loop.index, both), 2)
        last = builder.mul(pairs, both)
        with builder.if_then(builder.icmp_unsigned("<", last, width)):
            add_columns(last, 1)
        return context.get_dummy_value()

    return types.void(total, source, panels), generate


add_product: Any = intrinsic(_add_product)


@compiled
def fill_panels(weight: Any, transposed: bool, width: int, panels: Any) -> None:
    """Write a weight (unit, unit), or its transpose, into `panels` as `add_product` reads it.

    A panel is two vectors of columns, row after row; the last panel may be one vector. The matrix
    is (width, width), with zeros beyond the units.
    """
    units, whole = len(weight), 2 * VECTOR // weight.itemsize
    place, column = 0, 0
    while column < width:
        count = min(whole, width - column)
        given = max(0, min(count, units - column))  # of them are columns of the weight
        for row in range(width):
            filled = given if row < units else 0
            if transposed:
                for i in range(filled):
                    panels[place + i] = weight[column + i, row]
            else:
                for i in range(filled):
                    panels[place + i] = weight[row, column + i]
            for i in range(filled, count):
                panels[place + i] = 0
            place += count
        column += count


# exp(x) = 2^n exp(x - n log 2), where the remainder is at most log(2) / 2. The polynomial is that
# of Cephes (expf, Moshier 1989); 2^n is written as the exponent bits of a float.
LOG2E = np.float32(1.44269504088896341)
LOG2_HIGH = np.float32(0.693359375)
LOG2_LOW = np.float32(-2.12194440e-4)
E0 = np.float32(1.9875691500e-4)
E1 = np.float32(1.3981999507e-3)
E2 = np.float32(8.3334519073e-3)
E3 = np.float32(4.1665795894e-2)
E4 = np.float32(1.6666665459e-1)
E5 = np.float32(5.0000001201e-1)
LOWEST, HIGHEST = np.float32(-87.0), np.float32(88.0)
HALF, ONE, TWO, ZERO = np.float32(0.5), np.float32(1), np.float32(2), np.float32(0)


@compiled
def exp32(x: Any, bits: Any, scale: Any) -> None:
    """x becomes exp(x), float32 (width,); `bits` int32 and `scale` float32 are the same memory."""
    for i in range(len(x)):
        y = x[i]
        y = LOWEST if y < LOWEST else y
        y = HIGHEST if y > HIGHEST else y
        n = np.float32(0) if y != y else np.floor(y * LOG2E + HALF)
        z = y - n * LOG2_HIGH - n * LOG2_LOW
        p = ((((E0 * z + E1) * z + E2) * z + E3) * z + E4) * z + E5
        x[i] = p * z * z + z + ONE
        bits[i] = (np.int32(n) + np.int32(127)) << np.int32(23)
    for i in range(len(x)):
        x[i] *= scale[i]


# tanh(x) = x P(x^2) / Q(x^2), a rational approximation on [-7.9, 7.9] with the coefficients of
# Eigen (generic_fast_tanh_float), beyond which tanh is 1 in float32.
BOUND = np.float32(7.90531110763549805)
P0 = np.float32(-2.76076847742355e-16)
P1 = np.float32(2.00018790482477e-13)
P2 = np.float32(-8.60467152213735e-11)
P3 = np.float32(5.12229709037114e-08)
P4 = np.float32(1.48572235717979e-05)
P5 = np.float32(6.37261928875436e-04)
P6 = np.float32(4.89352455891786e-03)
Q0 = np.float32(1.19825839466702e-06)
Q1 = np.float32(1.18534705686654e-04)
Q2 = np.float32(2.26843463243900e-03)
Q3 = np.float32(4.89352518554385e-03)


@compiled
def tanh32(x: Any, out: Any) -> None:
    """out = tanh(x), float32 (width,)."""
    for i in range(len(x)):
        y = x[i]
        y = BOUND if y > BOUND else y
        y = -BOUND if y < -BOUND else y
        s = y * y
        p = ((((((P0 * s + P1) * s + P2) * s + P3) * s + P4) * s + P5) * s + P6) * y
        out[i] = p / (((Q0 * s + Q1) * s + Q2) * s + Q3)


@compiled
def tanh_row(x: Any, out: Any) -> None:
    """out = tanh(x), (width,), which may be the same memory."""
    if x.itemsize == 4:
        tanh32(x, out)
    else:
        for i in range(len(x)):
            out[i] = math.tanh(x[i])


# log(1 + e) = 2 artanh(e / (2 + e)) as a series in s = e / (2 + e), at most 1/3 for e <= 1.
L1, L2, L3, L4 = np.float32(1 / 3), np.float32(1 / 5), np.float32(1 / 7), np.float32(1 / 9)
L5, L6 = np.float32(1 / 11), np.float32(1 / 13)


@compiled
def sigmoid_row(x: Any, out: Any, bits: Any, scale: Any) -> None:
    """out = 1 / (1 + exp(-x))."""
    if x.itemsize == 4:
        for i in range(len(x)):
            out[i] = -x[i]
        exp32(out, bits, scale)
        for i in range(len(x)):
            out[i] = ONE / (ONE + out[i])
    else:
        for i in range(len(x)):
            out[i] = 1 / (1 + math.exp(-x[i]))


@compiled
def softplus_row(x: Any, out: Any, bits: Any, scale: Any) -> None:
    """out = log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
    if x.itemsize == 4:
        for i in range(len(x)):
            out[i] = -abs(x[i])
        exp32(out, bits, scale)
        for i in range(len(x)):
            s = out[i] / (TWO + out[i])
            q = s * s
            series = (((((L6 * q + L5) * q + L4) * q + L3) * q + L2) * q + L1) * q * s + s
            y = x[i]
            out[i] = (ZERO if y < ZERO else y) + TWO * series
    else:
        for i in range(len(x)):
            y = x[i]
            out[i] = (0.0 if y < 0 else y) + math.log1p(math.exp(-abs(y)))


@compiled
def activate(function: int, n: Any, x: Any, out: Any, bits: Any, scale: Any) -> None:
    """out = f(x), (TILE, width) each; `n` is the exponent of POWER, a number of their type."""
    zero = x.dtype.type(0)
    for k in range(TILE):
        row, result = x[k], out[k]
        if function == LINEAR:
            for i in range(len(row)):
                result[i] = row[i]
        elif function == RELU:
            for i in range(len(row)):
                result[i] = zero if row[i] <= zero else row[i]
        elif function == TANH:
            tanh_row(row, result)
        elif function == SIGMOID:
            sigmoid_row(row, result, bits, scale)
        elif function == SOFTPLUS:
            softplus_row(row, result, bits, scale)
        elif function == RETANH:
            for i in range(len(row)):
                result[i] = zero if row[i] <= zero else row[i]
            tanh_row(result, result)
        elif n == 2:
            for i in range(len(row)):
                y = zero if row[i] <= zero else row[i]
                result[i] = y * y
        else:
            for i in range(len(row)):
                y = zero if row[i] <= zero else row[i]
                result[i] = y**n


@compiled
def pull(function: int, grad: Any, values: Any) -> None:
    """values becomes grad f', where it held f (or, with GIVEN, f' itself); (TILE, width) each."""
    zero, one = grad.dtype.type(0), grad.dtype.type(1)
    for k in range(TILE):
        g, s = grad[k], values[k]
        if function == LINEAR:
            for i in range(len(g)):
                s[i] = g[i]
        elif function == RELU:
            for i in range(len(g)):
                s[i] = zero if s[i] <= zero else g[i]
        elif function == TANH:
            for i in range(len(g)):
                s[i] = g[i] * (one - s[i] * s[i])
        elif function == SIGMOID:
            for i in range(len(g)):
                s[i] = g[i] * (s[i] * (one - s[i]))
        elif function == RETANH:
            for i in range(len(g)):
                s[i] = zero if s[i] <= zero else g[i] * (one - s[i] * s[i])
        else:
            for i in range(len(g)):
                s[i] = g[i] * s[i]


@inlined
def load(tile: Any, source: Any, rows: int) -> None:
    """tile (TILE, width) = source (rows, unit); what is beyond stays as it was."""
    for k in range(rows):
        for i in range(source.shape[1]):
            tile[k, i] = source[k, i]


@inlined
def store(tile: Any, target: Any, rows: int) -> None:
    """target (rows, unit) = tile (TILE, width), without what was padded."""
    for k in range(rows):
        for i in range(target.shape[1]):
            target[k, i] = tile[k, i]


@compiled
def forward(
    formulation: int,
    function: int,
    n: Any,
    drive: Any,  # (time, batch, unit)
    panels: Any,  # (width * width,) of the weight (pre, post), padded with zeros
    alpha: Any,  # (width,)
    rate: Any,  # (batch, unit), before the first step
    potential: Any,  # (batch, unit), before the first step, in CURRENT
    noise: Any,  # (time, batch, unit) on the rates, or without elements
    rates: Any,  # (time, batch, unit), written
    values: Any,  # (time, batch, unit), written where it has elements: f(...)
    potentials: Any,  # (time, batch, unit), written where it has elements: v
    last: Any,  # (batch, unit), written in CURRENT: v after the last step
    low: int,
    high: int,
) -> None:
    """Run the rows from `low`, a multiple of TILE, to `high`."""
    width, keep = len(alpha), alpha.dtype.type(1) - alpha
    v, r = np.zeros((TILE, width), drive.dtype), np.zeros((TILE, width), drive.dtype)
    x, s = np.zeros((TILE, width), drive.dtype), np.zeros((TILE, width), drive.dtype)
    bits = np.zeros(width, np.int32)
    scale = bits.view(np.float32)
    for b in range(low, high, TILE):
        rows = min(TILE, high - b)
        v[:], r[:] = 0, 0
        load(r, rate[b : b + rows], rows)
        if formulation == CURRENT:
            load(v, potential[b : b + rows], rows)
        for t in range(drive.shape[0]):
            x[rows:] = 0
            load(x, drive[t, b : b + rows], rows)
            add_product(x, r, panels)
            if formulation != RATE:
                state = v if formulation == CURRENT else r
                for k in range(TILE):
                    for i in range(width):
                        state[k, i] = keep[i] * state[k, i] + alpha[i] * x[k, i]
                        x[k, i] = state[k, i]
            activate(function, n, x, s, bits, scale)
            if potentials.size:
                store(v, potentials[t, b : b + rows], rows)
            if values.size:
                store(s, values[t, b : b + rows], rows)
            for k in range(TILE):
                for i in range(width):
                    leaky = keep[i] * r[k, i] + alpha[i] * s[k, i]
                    r[k, i] = leaky if formulation == RATE else s[k, i]
            if noise.size:
                for k in range(rows):
                    for i in range(drive.shape[2]):
                        r[k, i] += noise[t, b + k, i]
            store(r, rates[t, b : b + rows], rows)
            r[:, drive.shape[2] :] = 0  # 0 times the Inf of another unit is NaN, which would spread
        if formulation == CURRENT:
            store(v, last[b : b + rows], rows)


@compiled
def backward(
    formulation: int,
    function: int,
    grad_rates: Any,  # (time, batch, unit)
    values: Any,  # (time, batch, unit): f(...), or with GIVEN its slopes
    panels: Any,  # (width * width,) of the weight (post, pre), padded with zeros
    alpha: Any,  # (width,)
    grad_last: Any,  # (batch, unit), or without elements: the gradient of the last v
    grad_drive: Any,  # (time, batch, unit), written
    grad_total: Any,  # (time, batch, unit), written where it has elements: that of r[t]
    grad_rate: Any,  # (batch, unit), written: that of the first rate
    grad_potential: Any,  # (batch, unit), written in CURRENT: that of the first potential
    low: int,
    high: int,
) -> None:
    """Backward in time, for the rows from `low` to `high`.

    g is the gradient of r[t], q that of d[t], and c what leaks from step t to step t - 1: the
    gradient of v[t] in CURRENT, of r[t] in RATE, and of the argument of f in UPDATE.
    """
    width, keep = len(alpha), alpha.dtype.type(1) - alpha
    g, s = np.zeros((TILE, width), values.dtype), np.zeros((TILE, width), values.dtype)
    c, q = np.zeros((TILE, width), values.dtype), np.zeros((TILE, width), values.dtype)
    for b in range(low, high, TILE):
        rows = min(TILE, high - b)
        c[:], q[:] = 0, 0
        for t in range(grad_rates.shape[0] - 1, -1, -1):
            g[rows:] = 0
            load(g, grad_rates[t, b : b + rows], rows)
            add_product(g, q, panels)
            if formulation != CURRENT:
                for k in range(TILE):
                    for i in range(width):
                        g[k, i] += keep[i] * c[k, i]
            if grad_total.size:
                store(g, grad_total[t, b : b + rows], rows)
            load(s, values[t, b : b + rows], rows)
            pull(function, g, s)
            if formulation == CURRENT:
                if grad_last.size and t == grad_rates.shape[0] - 1:
                    for k in range(rows):
                        for i in range(grad_last.shape[1]):
                            s[k, i] += grad_last[b + k, i]
                for k in range(TILE):
                    for i in range(width):
                        c[k, i] = keep[i] * c[k, i] + s[k, i]
                        q[k, i] = alpha[i] * c[k, i]
            else:
                for k in range(TILE):
                    for i in range(width):
                        c[k, i] = g[k, i] if formulation == RATE else s[k, i]
                        q[k, i] = alpha[i] * s[k, i]
            store(q, grad_drive[t, b : b + rows], rows)
            q[:, grad_drive.shape[2] :] = 0
        g[:] = 0
        add_product(g, q, panels)
        for k in range(rows):
            for i in range(grad_rate.shape[1]):
                leaked = keep[i] * c[k, i]
                if formulation == CURRENT:
                    grad_rate[b + k, i] = g[k, i]
                    grad_potential[b + k, i] = leaked
                else:
                    grad_rate[b + k, i] = g[k, i] + leaked
