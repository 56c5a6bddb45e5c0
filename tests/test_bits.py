"""Packed bits: what is read, what is refused, and that every way out leads back."""

from __future__ import annotations

import copy
import os
import pickle
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import layouts
from hypothesis import given
from hypothesis import strategies as st

import amfast as am
from amfast import bits
from amfast.bits import BitMatrix, Kind, binary, matrix

WIDTHS = (1, 7, 8, 9, 63, 64, 65, 1000)
SIGNED = ("int8", "int16", "int32", "int64", "float16", "float32", "float64", "longdouble")
UNSIGNED = ("uint8", "uint16", "uint64")


def flips(rng, n, d):
    return rng.random((n, d)) < 0.5


def coded(b, coding, dtype):
    return np.where(b, 1, -1 if coding == "bipolar" else 0).astype(dtype)


KINDS = (
    [("bipolar", t) for t in SIGNED]
    + [("binary", t) for t in SIGNED + UNSIGNED]
    + [("bool", "bool")]
)


@pytest.mark.parametrize("d", WIDTHS)
def test_packs_in_the_order_of_packbits_and_unpacks_in_every_coding(rng, d):
    b = flips(rng, 5, d)
    packed = am.pack(b)
    assert packed.shape == (5, d) and len(packed) == 5 and packed.n_bits == d
    np.testing.assert_array_equal(packed.to_packed(), np.packbits(b, axis=1))
    assert packed.nbytes == 5 * ((d + 7) // 8)
    for coding, dtype in (("bipolar", np.int8), ("binary", np.uint8), ("bool", np.bool_)):
        flat = packed.unpack(coding)
        assert flat.dtype == dtype
        np.testing.assert_array_equal(flat, coded(b, coding, dtype))
    assert packed.unpack().dtype == np.int8


@pytest.mark.parametrize("coding, dtype", KINDS)
def test_every_kind_is_read_and_answered(rng, coding, dtype):
    b = flips(rng, 300, 1003)  # several pieces
    x = coded(b, coding, dtype)
    packed, kind = binary(x, "cues", 1003)
    np.testing.assert_array_equal(packed.to_packed(), np.packbits(b, axis=1))
    assert kind == Kind(coding, np.dtype(dtype), False)
    back = kind.answer(packed)
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(back, x)
    one, kind = binary(x[3], "cues", single=True)
    assert one.shape == (1, 1003)
    np.testing.assert_array_equal(kind.answer(one), x[3])


@pytest.mark.parametrize("dtype", ["int8", "float32", "bool"])
def test_layouts(rng, dtype):
    b = flips(rng, 9, 37)
    x = b if dtype == "bool" else coded(b, "bipolar", dtype)
    for name, other in layouts(x):
        assert am.pack(other) == am.pack(b), name
        packed, kind = binary(other, "x")
        assert kind.answer(packed).dtype == x.dtype, name


def test_lists_and_matrices_pass_through(rng):
    assert am.pack([[1, 0], [0, 1]]) == am.pack([[True, False], [False, True]])
    packed, kind = binary([1, -1, -1], "cues", single=True)
    assert kind.answer(packed).tolist() == [1, -1, -1]
    same, kind = binary(packed, "cues", 3)
    assert same is packed and kind == Kind()
    assert kind.answer(packed) is packed


def test_read_does_not_change_its_input(rng):
    x = coded(flips(rng, 4, 12), "bipolar", np.float32)
    before = x.copy()
    am.pack(x)
    np.testing.assert_array_equal(x, before)


@given(st.integers(0, 2**63), st.integers(1, 70), st.integers(0, 6))
def test_round_trips(seed, d, n):
    b = flips(np.random.default_rng(seed), n, d)
    packed = am.pack(b)
    assert BitMatrix.from_packed(packed.to_packed(), d) == packed
    for coding in bits.CODINGS:
        assert am.pack(packed.unpack(coding)) == packed


# -- ones alone -----------------------------------------------------------------------------------


def test_rows_of_ones_are_bipolar_unless_told_otherwise():
    for dtype in SIGNED:
        ones = np.ones((2, 9), dtype)
        assert binary(ones, "x")[1].coding == "bipolar"
        assert binary(ones, "x", like=Kind("bipolar", np.dtype("int8")))[1].coding == "bipolar"
        assert binary(ones, "x", like=Kind())[1].coding == "bipolar"
        assert binary(ones, "x", like=Kind("binary", np.dtype("uint8")))[1].coding == "binary"
        assert binary(ones, "x", like=Kind("bool", np.dtype("bool")))[1].coding == "binary"
        assert binary(-ones, "x", like=Kind("binary"))[1].coding == "bipolar"
        assert binary(0 * ones, "x")[1].coding == "binary"
    for dtype in UNSIGNED:
        assert binary(np.ones((2, 9), dtype), "x")[1].coding == "binary"


# -- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("value", [2, -2, 100])
def test_other_values_are_refused_where_they_stand(rng, dtype, value):
    for coding in ("bipolar", "binary"):
        x = coded(flips(rng, 300, 1003), coding, dtype)
        x[299, 17] = value
        with pytest.raises(ValueError, match=rf"cues row 299, column 17 is {value}\b.*x > 0"):
            binary(x, "cues")


@pytest.mark.parametrize("value", [0.5, -0.999, 1.0000001, np.nan, np.inf, -np.inf, 5e-324])
def test_floats_are_never_rounded(rng, value):
    for coding in ("bipolar", "binary"):
        x = coded(flips(rng, 3, 5), coding, "float64")
        x[1, 2] = value
        with pytest.raises(ValueError, match="row 1, column 2 is"):
            am.pack(x)


def test_bytes_get_the_hint_about_packed_rows():
    with pytest.raises(ValueError, match=r"column 1 is 255; .*from_packed"):
        am.pack(np.array([[0, 255]], np.uint8))
    with pytest.raises(ValueError, match="is 18446744073709551615"):
        am.pack(np.array([[0, 2**64 - 1]], np.uint64))


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_mixed_codings_are_refused_even_pieces_apart(dtype):
    x = np.ones((300, 1003), dtype)
    x[1, 4], x[299, 5] = 0, -1
    with pytest.raises(ValueError, match=r"0 \(row 1, column 4\) and -1 \(row 299, column 5\)"):
        am.pack(x)


def test_shapes_are_refused():
    for bad in (np.float32(1), np.ones((2, 2, 2))):
        with pytest.raises(ValueError, match="2-d"):
            am.pack(bad)
        with pytest.raises(ValueError, match="one 1-d row"):
            binary(bad, "cues", single=True)
    with pytest.raises(ValueError, match=r"X\[None, :\]"):
        am.pack([1, -1])
    for empty in (np.ones((3, 0)), np.ones((0, 0), bool)):
        with pytest.raises(ValueError, match="0 columns"):
            am.pack(empty)
    with pytest.raises(ValueError, match="cues have 3 bits, the memory stores 4"):
        binary([[1, 0, 1]], "cues", 4)
    with pytest.raises(ValueError, match="cues have 3 bits, the memory stores 4"):
        binary(am.pack([[1, 0, 1]]), "cues", 4)


@pytest.mark.parametrize("bad", [[["a"]], [[1j]], [[None]], np.ma.masked_equal([[1, 0]], 0)])
def test_other_types_are_refused(bad):
    with pytest.raises((TypeError, ValueError), match="X"):
        am.pack(bad)


def test_no_rows_are_rows():
    packed = am.pack(np.ones((0, 5), np.int8))
    assert packed.shape == (0, 5) and packed.unpack().shape == (0, 5)
    assert BitMatrix.concatenate([packed, packed]).shape == (0, 5)
    assert BitMatrix.from_packed(np.empty((0, 1), np.uint8), 5) == packed
    assert BitMatrix.random(0, 5, 1) == packed


# -- packed rows ----------------------------------------------------------------------------------


def test_from_packed_shares_memory_and_cannot_be_written_through(rng):
    raw = np.packbits(flips(rng, 6, 24), axis=1)
    packed = BitMatrix.from_packed(raw, 24)
    assert np.shares_memory(packed.to_packed(), raw)
    assert not packed.to_packed().flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        packed.to_packed().flags.writeable = True
    raw.flags.writeable = False
    assert np.shares_memory(BitMatrix.from_packed(raw, 24).to_packed(), raw)
    assert BitMatrix.from_packed(raw[::2], 24) == packed[::2]
    assert BitMatrix.from_packed(np.asfortranarray(raw), 24) == packed
    assert BitMatrix.from_packed(memoryview(raw), 24) == packed


@pytest.mark.parametrize("d", [1, 3, 7, 9, 15])
def test_padding_bits_must_be_zero(d):
    raw = np.zeros((4, (d + 7) // 8), np.uint8)
    for bit in range(d, 8 * raw.shape[1]):
        raw[2, -1] = 1 << (7 - bit % 8)
        with pytest.raises(ValueError, match=f"row 2 has bits set beyond its {d}"):
            BitMatrix.from_packed(raw, d)
    raw[2, -1] = 1 << (7 - (d - 1) % 8)
    assert BitMatrix.from_packed(raw, d).unpack("binary")[2].tolist() == [0] * (d - 1) + [1]


def test_from_packed_refuses():
    with pytest.raises(TypeError, match="uint8, got dtype int8"):
        BitMatrix.from_packed(np.zeros((2, 1), np.int8), 8)
    with pytest.raises(ValueError, match="2 bytes, 8 bits take 1"):
        BitMatrix.from_packed(np.zeros((2, 2), np.uint8), 8)
    with pytest.raises(ValueError, match=r"row\[None, :\]"):
        BitMatrix.from_packed(np.zeros(2, np.uint8), 16)
    for bad, error in ((0, ValueError), (-1, ValueError), (8.0, TypeError), (True, TypeError)):
        with pytest.raises(error, match="n_bits"):
            BitMatrix.from_packed(np.zeros((2, 1), np.uint8), bad)
    with pytest.raises(TypeError, match="am.pack"):
        BitMatrix()
    with pytest.raises(ValueError, match="coding"):
        am.pack([[1, 0]]).unpack("ternary")


def test_rows_are_chosen_like_rows_of_an_array(rng):
    b = flips(rng, 10, 19)
    packed = am.pack(b)
    mask = b[:, 0]
    for rows in (slice(2, 7), slice(None, None, -3), [1, 1, 9], np.array([-1, 0]), mask, []):
        expected = b[np.asarray(rows, int) if isinstance(rows, list) else rows]
        assert packed[rows] == am.pack(expected)
    assert packed[4] == am.pack(b[4:5]) and packed[-1] == am.pack(b[9:])
    assert packed[np.int32(4)].shape == (1, 19)
    assert [row for row in packed[:2]] == [packed[0], packed[1]]
    for bad in (10, -11, [0, 10], np.ones(9, bool), (1, 2), [[0]]):
        with pytest.raises(IndexError, match="BitMatrix of 10 rows|chooses among|only rows"):
            packed[bad]
    for bad in (1.0, "a", None, True):
        with pytest.raises(TypeError, match="rows are chosen"):
            packed[bad]


def test_equality_is_of_content(rng):
    b = flips(rng, 3, 12)
    packed = am.pack(b)
    other = b.copy()
    other[2, 11] ^= True
    assert packed == am.pack(b) and packed != am.pack(other) and packed != am.pack(b[:2])
    assert am.pack(np.zeros((1, 7), bool)) != am.pack(np.zeros((1, 8), bool))
    assert packed != b.tolist() and not packed == packed.to_packed()
    with pytest.raises(TypeError, match="unhashable type: 'BitMatrix'"):
        hash(packed)


def test_joins_copies_and_pickles(rng):
    b = flips(rng, 5, 21)
    packed = am.pack(b)
    assert BitMatrix.concatenate([packed[:2], packed[2:]]) == packed
    assert not np.shares_memory(BitMatrix.concatenate([packed]).to_packed(), packed.to_packed())
    assert pickle.loads(pickle.dumps(packed)) == packed == copy.deepcopy(packed)
    with pytest.raises(ValueError, match="at least one"):
        BitMatrix.concatenate([])
    with pytest.raises(ValueError, match="21 and of 20"):
        BitMatrix.concatenate([packed, am.pack(b[:, :20])])
    with pytest.raises(TypeError, match="ndarray"):
        BitMatrix.concatenate([packed, b])
    assert repr(packed) == "<BitMatrix: 5 rows of 21 bits>"
    with pytest.raises(TypeError, match="unpack"):
        np.asarray(packed)
    with pytest.raises(TypeError, match="unpack"):
        am.pairwise(packed, b, "dot")


def test_random_rows_are_fair_prefixes_of_one_stream_and_masked():
    rows = BitMatrix.random(2000, 77, seed=5)
    assert rows[:3] == BitMatrix.random(3, 77, seed=5) != BitMatrix.random(3, 77, seed=6)
    assert BitMatrix.from_packed(rows.to_packed(), 77) == rows
    share = rows.unpack("binary").mean(axis=0)
    assert np.abs(share - 0.5).max() < 5 * 0.5 / np.sqrt(2000)
    # The numbers of one platform are the numbers of all.
    assert BitMatrix.random(2, 12, seed=1).to_packed().tolist() == [[255, 224], [34, 112]]
    for bad, error in ((-1, ValueError), (None, TypeError), (0.5, TypeError)):
        with pytest.raises(error, match="seed"):
            BitMatrix.random(2, 12, bad)


def test_what_cannot_fit_is_refused_with_numbers():
    with pytest.raises(MemoryError, match="GB"):
        BitMatrix.random(10**9, 10**6, 0)
    with pytest.raises(MemoryError, match="GB"):
        am.pack(np.broadcast_to(np.int8(1), (10**9, 10**6)))


def test_faiss_reads_the_same_bytes(rng):
    faiss = pytest.importorskip("faiss")
    b = flips(rng, 50, 128)
    index = faiss.IndexBinaryFlat(128)
    index.add(am.pack(b).to_packed())
    distances, found = index.search(am.pack(b[:4]).to_packed(), 2)
    assert found[:, 0].tolist() == [0, 1, 2, 3] and distances[:, 0].tolist() == [0] * 4
    assert (
        distances[:, 1].tolist() == np.sort((b[:4, None] != b).sum(axis=2), axis=1)[:, 1].tolist()
    )


@pytest.mark.parametrize("n_bits", [1, 7, 8, 9, 70])
def test_states_are_read_as_binary_reads_bits_and_answered_in_their_kind(rng, n_bits):
    signs = np.where(rng.random((5, n_bits)) < 0.5, 1, -1).astype(np.int8)
    for name, x in (
        ("int8", signs),
        ("float16", signs.astype(np.float16)),
        ("big-endian", signs.astype(">f8")),
        ("bool", signs > 0),
        ("uint8", (signs > 0).astype(np.uint8)),
        ("0 and 1", (signs > 0).astype(np.int64)),
        ("columns first", np.asfortranarray(signs)),
        ("bits", am.pack(signs)),
        ("one row", signs[0]),
    ):
        words, kind = bits.binary(x, "cues", n_bits, single=True)
        states, other = bits.states(x, "cues", n_bits)
        assert states.dtype == np.int8 and states.flags.writeable
        np.testing.assert_array_equal(states, words.unpack(), err_msg=name)
        assert kind == other
        back, same = kind.states(states), kind.answer(words)
        assert type(back) is type(same) and back.shape == same.shape
        assert back == same if isinstance(back, BitMatrix) else np.array_equal(back, same)


def test_undecided_states_are_zero_where_there_is_a_third_value():
    states = np.array([[1, 0, -1]], np.int8)
    for coding, dtype, expected in (
        ("bipolar", np.float32, [[1, 0, -1]]),
        ("binary", np.uint8, [[1, 0, 0]]),
        ("bool", np.bool_, [[True, False, False]]),
    ):
        got = bits.Kind(coding, np.dtype(dtype)).states(states)
        assert got.dtype == dtype and got.tolist() == expected
    assert bits.Kind().states(states) == am.pack([[1, 0, 0]])


def test_states_refuse_what_binary_refuses():
    for bad, match in (
        (np.ones((1, 2, 3)), "one 1-d row"),
        (np.ones((2, 0)), "0 columns"),
        (np.ones((2, 4)), "cues have 4 bits, the memory stores 3"),
        (am.pack(np.ones((2, 4))), "cues have 4 bits"),
        ([[1, 0, -1]], "mix two codings"),
        ([[1, 2, 1]], "row 0, column 1 is 2"),
    ):
        with pytest.raises(ValueError, match=match):
            bits.states(bad, "cues", 3)
    ones = bits.Kind("bool", np.dtype(bool))
    assert bits.states(np.ones(3), "cues", 3, like=ones)[1].coding == "binary"


def test_as_many_entries_as_partners_were_meant_as_a_column():
    for flat, called in ((np.ones(3), "values"), ([1, 1, 1], "values")):
        with pytest.raises(ValueError, match=r"one number per row is " + re.escape(called)):
            bits.binary(flat, "values", partners=3)
        with pytest.raises(ValueError, match=r"one row is " + re.escape(called)):
            bits.binary(flat, "values", partners=4)


# -- memory, time, and answers --------------------------------------------------------------------


def test_every_large_array_is_asked_for_and_nothing_is_half_done(rng, monkeypatch):
    """MemoryError with numbers where the allocator gives up; the matrix is as it was."""
    b = flips(rng, 300, 1003)
    packed = am.pack(b)
    before = packed.to_packed().copy()

    def full(shape, dtype=float, *args, **kwargs):
        raise MemoryError

    calls = {
        "packed X": (lambda: am.pack(b), lambda: am.pack(coded(b, "bipolar", np.int8))),
        "unpacked bits": tuple(lambda c=c: packed.unpack(c) for c in bits.CODINGS),
        "answers": (lambda: Kind("binary", np.dtype(np.float64)).answer(packed),),
        "chosen rows": (lambda: packed[::2], lambda: packed[[1, 2]], lambda: packed[b[:, 0]]),
        "joined rows": (lambda: BitMatrix.concatenate([packed, packed]),),
        "packed rows": (lambda: BitMatrix.from_packed(before[::2], 1003),),
        r"random bits \(3, 1003\)": (lambda: BitMatrix.random(3, 1003, 0),),
    }
    monkeypatch.setattr(np, "empty", full)
    for what, made in calls.items():
        for call in made:
            with pytest.raises(MemoryError, match=f"{what} of shape .* take .* GB, which cannot"):
                call()
    np.testing.assert_array_equal(packed.to_packed(), before)


def test_more_than_the_machine_holds_is_refused_before_anything_is_read():
    row = am.pack(np.ones((1, 8), np.int8))
    wide = BitMatrix.from_packed(np.zeros((10**6, 64), np.uint8), 512)
    huge = np.broadcast_to(np.int64(0), (10**14,))
    for call in (
        lambda: BitMatrix.random(10**18, 64, 0),
        lambda: BitMatrix.random(2**70, 2**70, 0),
        lambda: BitMatrix.random(10**200, 10**200, 0),
        lambda: BitMatrix.concatenate([wide] * 10**5),
        lambda: am.pack(np.broadcast_to(True, (10**9, 10**6))),
        lambda: BitMatrix.from_packed(np.broadcast_to(np.uint8(0), (10**14, 1)), 8),
    ):
        with pytest.raises(MemoryError, match="GB, the machine has"):
            call()
    assert row[huge[:3]].shape == (3, 8)


def test_random_rows_have_the_stream_of_one_draw():
    """Drawn in pieces, of the same numbers as at once."""
    n, n_bits = 40_000, 517  # several pieces, the last of them short
    width = (n_bits + 7) // 8
    words = np.random.PCG64(9).random_raw(-(-n * width // 8)).astype("<u8")
    expected = words.view(np.uint8)[: n * width].reshape(n, width).copy()
    expected[:, -1] &= 0xF8
    found = BitMatrix.random(n, n_bits, seed=9).to_packed()
    assert found.nbytes > 2 * 8 * matrix._PIECE
    np.testing.assert_array_equal(found, expected)
    assert BitMatrix.random(2, 12, 2**64 - 1) != BitMatrix.random(2, 12, 0)
    with pytest.raises(ValueError, match=r"seed must be an int in 0\.\.18446744073709551615"):
        BitMatrix.random(2, 12, 2**64)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
@pytest.mark.parametrize("shape", [(1, 10**10), (10**9, 1)])
def test_drawing_random_rows_stops_at_ctrl_c(shape):
    code = f"""
import amfast as am
am.BitMatrix  # imported now, not when the signal comes
print("ready", flush=True)
try:
    while True:
        am.BitMatrix.random(*{shape}, seed=0)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    took = []
    while not took or (min(took) >= 0.3 and len(took) < 3):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        try:
            assert child.stdout.readline() == "ready\n"
            time.sleep(0.4)
            start = time.perf_counter()
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == "stopped\n"
            took.append(time.perf_counter() - start)
        finally:
            child.kill()
            child.communicate()
    assert min(took) < 0.3, took


def test_padding_is_checked_beyond_the_first_piece():
    raw = np.zeros((2 * matrix._PIECE, 1), np.uint8)
    raw[-1] = 1
    with pytest.raises(ValueError, match=f"row {2 * matrix._PIECE - 1} has bits set beyond its 7"):
        BitMatrix.from_packed(raw, 7)


def test_rows_are_chosen_by_integers_only(rng):
    packed = am.pack(flips(rng, 4, 9))
    for bad in ([0.9, 1.7], [0.0, 1.0], [10**5000], np.array([1.0]), [1j], [None], "ab", [[0.5]]):
        with pytest.raises(TypeError, match="rows are chosen by an int, slice, indices or mask"):
            packed[bad]
    for bad, text in (
        (4, "row 4 of a BitMatrix of 4 rows"),
        (10**5000, "row an unprintable int of 16610 bits of a BitMatrix of 4 rows"),
        ([0, -5], "row -5 of a BitMatrix of 4 rows"),
        (np.array([2**64 - 1], np.uint64), "row 18446744073709551615 of"),
        (np.ones(3, bool), "a mask of 3 entries chooses among 4 rows"),
    ):
        with pytest.raises(IndexError, match=text):
            packed[bad]
    assert packed[np.array([3, -4], np.int8)] == packed[[3, 0]]


def test_numbers_are_answered_as_they_were_asked():
    x = np.arange(6.0).reshape(2, 3)
    many, one = Kind("numbers"), Kind("numbers", None, True)
    assert many.answer(x) is x and one.answer(x[:1]).tolist() == [0, 1, 2]
    assert many.number(x[0]) is not None and many.number(x[:, 1]).tolist() == [1, 4]
    assert one.number(x[:1, 1]) == 1.0 and type(one.number(x[:1, 1])) is float
    # What a binary cue is told in numbers (sums, scores) follows its shape, not its coding.
    assert Kind("bipolar", np.dtype(np.int8), True).answer(x[:1]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("make", [np.asarray, list])
def test_labels_in_one_dimension_become_a_column(make):
    labels = make([1, 0, 1])
    for partners, hint in ((3, r"values\[:, None\]$"), (2, r"values\[None, :\]$")):
        with pytest.raises(ValueError, match=hint):
            binary(labels, "values", partners=partners)
