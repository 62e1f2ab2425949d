"""Hashes that are the same on every machine: FarmHash's 64-bit fingerprint and SipHash-2-4.

Both read a string as little-endian words. Strings of one length are worked
on together, a column of words at a time, so that a batch costs about as many
NumPy operations as there are different lengths in it.

Sources: Pike and Alakuijala, FarmHash (2014), `farmhashna`; Aumasson and
Bernstein, SipHash: a fast short-input PRF (2012).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Words = Any  # arrays of uint64, one entry per string

_K0, _K1, _K2 = (np.uint64(k) for k in (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))


def fingerprints(strings: list[bytes]) -> np.ndarray:
    """Return FarmHash's fingerprint of each string, as uint64.

    Example:
        >>> int(fingerprints([b""])[0]) == 0x9AE16A3B2F90404F
        True
    """
    return _by_length(strings, _farm)


def siphashes(strings: list[bytes], key: tuple[int, int]) -> np.ndarray:
    """Return SipHash-2-4 of each string under a key of two numbers, as uint64."""
    return _by_length(strings, lambda rows: _sip(rows, key))


def joined(first: Words, second: Words) -> Words:
    """Return one fingerprint for two, in their order."""
    multiplier = np.uint64(0xC6A4A7935BD1E995)
    with np.errstate(over="ignore"):
        result = (first ^ multiplier) ^ (_mix(second * multiplier) * multiplier)
        result = _mix(result * multiplier) * multiplier
        return _mix(result)


def _by_length(strings: list[bytes], hash_rows: Callable[[np.ndarray], Words]) -> np.ndarray:
    found = np.empty(len(strings), dtype=np.uint64)
    lengths = np.fromiter(map(len, strings), dtype=np.int64, count=len(strings))
    with np.errstate(over="ignore"):  # arithmetic modulo 2 ** 64 is what is meant
        for length in np.unique(lengths):
            where = np.flatnonzero(lengths == length)
            joined_bytes = b"".join([strings[place] for place in where])
            rows = np.frombuffer(joined_bytes, dtype=np.uint8).reshape(len(where), length)
            found[where] = hash_rows(rows)
    return found


def _word(rows: np.ndarray, begin: int, size: int = 8) -> Words:
    """Return `size` bytes of each string, from `begin` (from the end, if below 0), as a number."""
    begin = begin if begin >= 0 else rows.shape[1] + begin
    part = np.ascontiguousarray(rows[:, begin : begin + size])
    return part.view("<u8" if size == 8 else "<u4")[:, 0].astype(np.uint64)


def _turned(value: Words, by: int) -> Words:
    return (value >> np.uint64(by)) | (value << np.uint64(64 - by))


def _mix(value: Words) -> Words:
    return value ^ (value >> np.uint64(47))


def _two(first: Words, second: Words, multiplier: Words) -> Words:
    a = _mix((first ^ second) * multiplier)
    return _mix((second ^ a) * multiplier) * multiplier


def _farm(rows: np.ndarray) -> Words:
    length = rows.shape[1]
    if length <= 16:
        return _farm_to_16(rows)
    if length <= 32:
        return _farm_to_32(rows)
    return _farm_to_64(rows) if length <= 64 else _farm_long(rows)


def _farm_to_16(rows: np.ndarray) -> Words:
    count, length = rows.shape
    multiplier = _K2 + np.uint64(2 * length)
    if length >= 8:
        a, b = _word(rows, 0) + _K2, _word(rows, -8)
        c = _turned(b, 37) * multiplier + a
        d = (_turned(a, 25) + b) * multiplier
        return _two(c, d, multiplier)
    if length >= 4:
        return _two(np.uint64(length) + (_word(rows, 0, 4) << np.uint64(3)), _word(rows, -4, 4), multiplier)
    if length:
        a, b, c = (rows[:, place].astype(np.uint64) for place in (0, length >> 1, length - 1))
        y, z = a + (b << np.uint64(8)), np.uint64(length) + (c << np.uint64(2))
        return _mix((y * _K2) ^ (z * _K0)) * _K2
    return np.full(count, _K2)


def _farm_to_32(rows: np.ndarray) -> Words:
    multiplier = _K2 + np.uint64(2 * rows.shape[1])
    a, b = _word(rows, 0) * _K1, _word(rows, 8)
    c, d = _word(rows, -8) * multiplier, _word(rows, -16) * _K2
    return _two(_turned(a + b, 43) + _turned(c, 30) + d, a + _turned(b + _K2, 18) + c, multiplier)


def _farm_to_64(rows: np.ndarray) -> Words:
    multiplier = _K2 + np.uint64(2 * rows.shape[1])
    a, b = _word(rows, 0) * _K2, _word(rows, 8)
    c, d = _word(rows, -8) * multiplier, _word(rows, -16) * _K2
    y = _turned(a + b, 43) + _turned(c, 30) + d
    z = _two(y, a + _turned(b + _K2, 18) + c, multiplier)
    e, f = _word(rows, 16) * multiplier, _word(rows, 24)
    g, h = (y + _word(rows, -32)) * multiplier, (z + _word(rows, -24)) * multiplier
    return _two(_turned(e + f, 43) + _turned(g, 30) + h, e + _turned(f + a, 18) + g, multiplier)


def _weak(rows: np.ndarray, begin: int, a: Words, b: Words) -> tuple[Words, Words]:
    """Stir 32 bytes into two numbers."""
    w, x, y, z = (_word(rows, begin + 8 * place) for place in range(4))
    a = a + w
    b = _turned(b + a + z, 21)
    c = a
    a = a + x + y
    b = b + _turned(a, 44)
    return a + z, b + c


def _farm_long(rows: np.ndarray) -> Words:
    length = rows.shape[1]
    count = np.zeros(len(rows), dtype=np.uint64)
    seed = np.uint64(81)
    x, y = count + seed, count + (seed * _K1 + np.uint64(113))
    z = _mix(y * _K2 + np.uint64(113)) * _K2
    v, w = (count, count), (count, count)
    x = x * _K2 + _word(rows, 0)
    blocks = (length - 1) // 64
    for block in range(blocks):
        begin = 64 * block
        x = _turned(x + y + v[0] + _word(rows, begin + 8), 37) * _K1
        y = _turned(y + v[1] + _word(rows, begin + 48), 42) * _K1
        x = x ^ w[1]
        y = y + v[0] + _word(rows, begin + 40)
        z = _turned(z + w[0], 33) * _K1
        v = _weak(rows, begin, v[1] * _K1, x + w[0])
        w = _weak(rows, begin + 32, z + w[1], y + _word(rows, begin + 16))
        x, z = z, x
    multiplier = _K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    begin = length - 64
    w = (w[0] + np.uint64((length - 1) & 63), w[1])
    v = (v[0] + w[0], v[1])
    w = (w[0] + v[0], w[1])
    x = _turned(x + y + v[0] + _word(rows, begin + 8), 37) * multiplier
    y = _turned(y + v[1] + _word(rows, begin + 48), 42) * multiplier
    x = x ^ (w[1] * np.uint64(9))
    y = y + v[0] * np.uint64(9) + _word(rows, begin + 40)
    z = _turned(z + w[0], 33) * multiplier
    v = _weak(rows, begin, v[1] * multiplier, x + w[0])
    w = _weak(rows, begin + 32, z + w[1], y + _word(rows, begin + 16))
    x, z = z, x
    first = _two(v[0], w[0], multiplier) + _mix(y) * _K0 + z
    return _two(first, _two(v[1], w[1], multiplier) + x, multiplier)


def _sip(rows: np.ndarray, key: tuple[int, int]) -> Words:
    count, length = rows.shape
    low, high = (np.full(count, part & (2**64 - 1), dtype=np.uint64) for part in key)
    state = [
        low ^ np.uint64(0x736F6D6570736575),
        high ^ np.uint64(0x646F72616E646F6D),
        low ^ np.uint64(0x6C7967656E657261),
        high ^ np.uint64(0x7465646279746573),
    ]
    # The last word holds what is left, and the length in its last byte.
    padded = np.zeros((count, 8 * (length // 8 + 1)), dtype=np.uint8)
    padded[:, :length] = rows
    padded[:, -1] = length & 0xFF
    for begin in range(0, padded.shape[1], 8):
        word = _word(padded, begin)
        state[3] = state[3] ^ word
        state = _sip_round(_sip_round(state))
        state[0] = state[0] ^ word
    state[2] = state[2] ^ np.uint64(0xFF)
    for _ in range(4):
        state = _sip_round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _sip_round(state: list[Words]) -> list[Words]:
    def left(value: Words, by: int) -> Words:
        return _turned(value, 64 - by)

    a, b, c, d = state
    a = a + b
    b = left(b, 13) ^ a
    a = left(a, 32)
    c = c + d
    d = left(d, 16) ^ c
    a = a + d
    d = left(d, 21) ^ a
    c = c + b
    b = left(b, 17) ^ c
    c = left(c, 32)
    return [a, b, c, d]
