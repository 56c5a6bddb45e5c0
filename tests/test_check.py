"""The edge: weights, numbers, ids, and arrays and tables of other libraries."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import _check, bits
from amfast._check import weights

# -- weights --------------------------------------------------------------------------------------

FLOATS = {"signed": weights.signed, "nonnegative": weights.nonnegative, "shares": weights.shares}


@pytest.mark.parametrize("reader", FLOATS.values(), ids=FLOATS)
def test_none_one_number_and_one_each(reader) -> None:
    for given, expected in (
        (None, [1.0, 1.0, 1.0]),
        (0.5, [0.5, 0.5, 0.5]),
        (1, [1.0, 1.0, 1.0]),
        (np.float32(0.5), [0.5, 0.5, 0.5]),
        (np.array(0.5), [0.5, 0.5, 0.5]),
        ([0, 0.25, 1], [0.0, 0.25, 1.0]),
        (np.array([0, 1, 1], np.uint8), [0.0, 1.0, 1.0]),
        (np.array([0, 9, 1, 9, 1, 9], ">f4")[::2], [0.0, 1.0, 1.0]),
    ):
        found = reader(given, 3)
        assert found.dtype == np.float64 and found.flags.c_contiguous
        assert found.tolist() == expected
    assert reader(None, 0).shape == reader(0.5, 0).shape == (0,)
    for bad, error, text in (
        ([1, 1], ValueError, r"w must have shape \(3,\).*, got \(2,\)"),
        ([[1, 1, 1]], ValueError, r"w must have shape \(3,\).*, got \(1, 3\)"),
        ([1, np.nan, 1], ValueError, "w must be .*, entry 1 is nan"),
        ([1, 1, np.inf], ValueError, "w must be .*, entry 2 is inf"),
        (np.nan, ValueError, "w must be .*, got nan"),
        (10**400, ValueError, "w must be .*, got 1000"),
        (10**5000, ValueError, "w must be .*, got an unprintable int of 16610 bits"),
        (True, TypeError, "w must be .*, got a bool"),
        (["a", "b", "c"], TypeError, "w must be real numbers, got dtype <U1"),
        ("1", TypeError, "w must be real numbers"),
        (np.ma.masked_equal([1, 2, 3], 2), ValueError, "masked entries in w;"),
    ):
        with pytest.raises(error, match=text):
            reader(bad, 3, "w")


def test_signs_and_ranges() -> None:
    assert weights.signed([-1, 0, 1e308], 3).tolist() == [-1.0, 0.0, 1e308]
    assert weights.signed(-2, 2).tolist() == [-2.0, -2.0]
    for bad, text in (
        ([1, -1], "weights must be finite and >= 0, entry 1 is -1.0"),
        (-1, "weights must be a finite number >= 0, got -1"),
    ):
        with pytest.raises(ValueError, match=text):
            weights.nonnegative(bad, 2)
    assert weights.shares([[0.0], [1.0]], 2).tolist() == [0.0, 1.0]
    for bad, text in (
        ([0, 1.5], r"weights must be in 0\.\.1, entry 1 is 1.5"),
        ([[0], [-0.5]], r"weights must be in 0\.\.1, entry 1 is -0.5"),
        (1.5, r"weights must be a number in 0\.\.1, got 1.5"),
        ([[0, 1]], r"weights must have shape \(2,\) or \(2, 1\), got \(1, 2\)"),
    ):
        with pytest.raises(ValueError, match=text):
            weights.shares(bad, 2)


def test_whole() -> None:
    top = 2**63 - 1
    for given, expected in (
        (None, [1, 1]),
        (-3, [-3, -3]),
        (10**400, [top, top]),
        (-(10**400), [-top, -top]),
        (np.int8(2), [2, 2]),
        (2.0, [2, 2]),
        ([1.0, -2.0], [1, -2]),
        ([1e300, -1e300], [2**62, -(2**62)]),
        (np.array([1, 2**64 - 1], np.uint64), [1, top]),
    ):
        found = weights.whole(given, 2)
        assert found.dtype == np.int64 and found.tolist() == expected
    for bad, error, text in (
        (True, TypeError, "weight must be an int or an array of whole numbers, got a bool"),
        ([True, False], TypeError, "weight must hold whole numbers, got dtype bool"),
        ("1", TypeError, "weight must hold whole numbers"),
        ([1, 2, 3], ValueError, r"weight must be one number or have shape \(2,\), got \(3,\)"),
        ([1, 0.5], ValueError, "weight must be whole numbers, entry 1 is 0.5"),
        (np.nan, ValueError, "weight must be whole numbers, entry 0 is nan"),
        ([1, np.inf], ValueError, "weight must be whole numbers, entry 1 is inf"),
    ):
        with pytest.raises(error, match=text):
            weights.whole(bad, 2, "weight")


def test_masses_sum_to_one_without_overflow() -> None:
    assert weights.masses(None, 4).tolist() == [0.25] * 4
    assert weights.masses([1, 3], 2).tolist() == [0.25, 0.75]
    assert weights.masses([1e308, 1e308], 2).tolist() == [0.5, 0.5]
    assert weights.masses([5e-324, 5e-324], 2).tolist() == [0.5, 0.5]
    for bad in ([0, 0], 0.0, -0.0):
        with pytest.raises(ValueError, match="w sum to 0"):
            weights.masses(bad, 2, "w")
    with pytest.raises(ValueError, match="w sum to 0; a measure needs mass somewhere"):
        weights.masses([0], 1, "w", "sum to 0; a measure needs mass somewhere")
    with pytest.raises(ValueError, match="entry 0 is -1"):
        weights.masses([-1, 2], 2)


def test_the_older_names_read_the_same() -> None:
    assert _check.item_weights([0, 2], 2).tolist() == [0.0, 2.0]
    assert _check.log_weights([0, -np.inf], 2).tolist() == [0.0, -np.inf]
    for bad in (np.inf, np.nan):
        with pytest.raises(ValueError, match="log_weight must be finite or -inf, entry 1 is"):
            _check.log_weights([0, bad], 2)


# -- numbers, seeds, ids --------------------------------------------------------------------------


def test_integers_end_where_floats_do() -> None:
    assert _check.integer(2**1023, "d", 1) == 2**1023
    for bad in (10**309, 10**5000):
        with pytest.raises(ValueError, match="d must be an int >= 1 that a float can hold, got"):
            _check.integer(bad, "d", 1)
        with pytest.raises(ValueError, match=r"d must be an int in 1\.\.3, got"):
            _check.integer(bad, "d", 1, 3)
        for sign in (1, -1):
            with pytest.raises(ValueError, match="x must be a finite number, got"):
                _check.number(sign * bad, "x")
    with pytest.raises(ValueError, match="d must be an int >= 1, got"):
        _check.integer(-(10**5000), "d", 1)


def test_numbers_between_two_ends() -> None:
    assert _check.number(1e-9, "f", 0.0, above=True) == 1e-9
    for bad in (0, 0.0, -1.0):
        with pytest.raises(ValueError, match="f must be a finite number > 0, got "):
            _check.number(bad, "f", 0.0, above=True)
    assert _check.number(0, "f", 0.0, 1.0) == 0 and _check.number(1, "f", 0.0, 1.0) == 1
    for bad in (-1e-9, 1.0000001, np.nan, np.inf, 10**400):
        with pytest.raises(ValueError, match=r"f must be a number in 0\.\.1, got"):
            _check.number(bad, "f", 0.0, 1.0)
        with pytest.raises(ValueError, match="f must be a number above 0 and at most 1, got"):
            _check.number(bad, "f", 0.0, 1.0, above=True)
    assert _check.number(1, "f", 0.0, 1.0, above=True) == 1
    with pytest.raises(ValueError, match="f must be a number above 0 and at most 1, got 0"):
        _check.number(0, "f", 0.0, 1.0, above=True)


def test_what_cannot_be_printed_is_still_refused_by_name() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError

    for reader in (_check.number, lambda x, n: _check.integer(x, n, 0), _check.flag):
        with pytest.raises(TypeError, match="x must be .*, got an unprintable Silent"):
            reader(Silent(), "x")


def test_seeds() -> None:
    assert _check.seed(np.uint64(2**64 - 1)) == 2**64 - 1 and _check.seed(0) == 0
    for bad, error in ((-1, ValueError), (2**64, ValueError), (1.0, TypeError), (None, TypeError)):
        with pytest.raises(error, match=r"seed must be an int in 0\.\.18446744073709551615, got"):
            _check.seed(bad)


def test_indices() -> None:
    for given, expected in (
        ([2, 0, 2], [2, 0, 2]),
        (np.array([1], np.uint8), [1]),
        ([], []),
        ([False, True, True], [1, 2]),
    ):
        found = _check.indices(given, "where", 3)
        assert found.dtype == np.int64 and found.tolist() == expected
    for bad, error, text in (
        ([3], ValueError, r"where must be in 0\.\.2, got 3"),
        ([0, -1], ValueError, r"where must be in 0\.\.2, got -1"),
        (np.array([2**64 - 1], np.uint64), ValueError, r"in 0\.\.2, got 18446744073709551615"),
        ([True, False], ValueError, r"where as a mask must have shape \(3,\), got \(2,\)"),
        ([[0]], ValueError, r"where must be 1-d, got shape \(1, 1\)"),
        (0, ValueError, r"where must be 1-d, got shape \(\)"),
        ([0.0], TypeError, "where must be integers, got dtype float64"),
        (None, TypeError, "where must be integers"),
    ):
        with pytest.raises(error, match=text):
            _check.indices(bad, "where", 3)


# -- rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [np.asarray, list, tuple], ids=["array", "list", "tuple"])
def test_hints_do_what_they_say(make) -> None:
    """The words after "is" are run as they stand."""
    for partners, shape in ((None, (1, 3)), (2, (1, 3)), (3, (3, 1))):
        values = make([1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match=r"values must be 2-d") as caught:
            _check.rows(values, "values", partners=partners)
        hint, _, expression = str(caught.value).rpartition(" is ")
        if "with values = np.asarray(values), " in hint:
            values = np.asarray(values)
        assert eval(expression, {"values": values}).shape == shape
    with pytest.raises(ValueError, match=r"got 0-d of shape \(\)$"):
        _check.rows(1.0, "values", partners=1)


def test_finite_names_the_place() -> None:
    for x, text in (
        (np.array([[0.0], [np.nan]]), "x row 1 has a NaN or infinite entry"),
        (np.array([0.0, np.inf]), r"x have a NaN or infinite entry, at \(1\)"),
        (np.array([[[0.0]], [[-np.inf]]]), r"x have a NaN or infinite entry, at \(1, 0, 0\)"),
        (np.array(np.nan), r"x have a NaN or infinite entry, at \(0\)"),
    ):
        with pytest.raises(ValueError, match=text):
            _check.finite(x, "x")


def test_memory_is_asked_for_with_numbers(monkeypatch) -> None:
    def full(*_, **__):
        raise MemoryError

    x = np.ones((3, 4), np.int32)
    monkeypatch.setattr(np, "empty", full)
    for call in (
        lambda: _check.rows(x, "keys"),
        lambda: _check.rows(x.astype("f4")[:, ::2], "keys"),
        lambda: _check.vector(x[0], "keys", 4),
    ):
        with pytest.raises(MemoryError, match=r"keys of shape .* take 0.0 GB, which cannot be"):
            call()


# -- other libraries ------------------------------------------------------------------------------


class Foreign:
    """An object that converts itself, or does not."""

    def __init__(self, array=None, error: Exception | None = None, **flags):
        self._array, self._error = array, error
        for name, value in flags.items():
            setattr(self, name, value)

    def __array__(self, dtype=None, copy=None):
        if self._error is not None:
            raise self._error
        return self._array

    def __dlpack__(self, **_):
        return (-np.asarray(self._array)).__dlpack__()

    def __dlpack_device__(self):
        return (self.__dict__.get("place", 1), 0)


class Capsule:
    """Memory and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_an_object_is_asked_before_its_memory_is() -> None:
    signed = np.array([1.0, -1.0])
    assert _check.read(Foreign(signed), "x").tolist() == [1.0, -1.0]
    assert _check.read(Capsule(signed), "x").tolist() == [1.0, -1.0]
    masked = np.ma.masked_equal(signed, -1.0)
    for bad in (Foreign(masked), masked, [masked, masked]):
        with pytest.raises(ValueError, match="masked entries in x;"):
            _check.read(bad, "x")


def test_what_neither_yields_is_refused_with_what_helps() -> None:
    failed = RuntimeError("no numpy() here")
    gpu = dict(place=2, device="cuda:0")
    for bad, text in (
        (Foreign(error=failed), "x cannot be read as an array of numbers: no numpy"),
        (Foreign(error=failed, requires_grad=True), r"x require grad; pass x.detach\(\)"),
        (Foreign(error=failed, is_neg=lambda: True), r"pass x.resolve_neg\(\)"),
        (Foreign(error=failed, is_conj=lambda: True), r"pass x.resolve_conj\(\)"),
        (Foreign(error=failed, cpu=1, **gpu), r"x are on cuda:0, not the CPU; pass x.cpu\(\)"),
        (Foreign(error=failed, get=1, **gpu), r"x are on cuda:0, not the CPU; pass x.get\(\)"),
        (Foreign(error=failed, **gpu), "x are on cuda:0, not the CPU$"),
        (Foreign(error=failed, dtype="torch.float8_e5m2"), r"x are float8.* pass x.float\(\)"),
        (Capsule(object()), "x cannot be read"),
    ):
        with pytest.raises(TypeError, match=text):
            _check.read(bad, "x")


def test_columns_of_arrays_are_rows() -> None:
    column = np.empty(2, object)
    column[:] = [np.ones(3, np.float32), np.zeros(3, np.float32)]
    found = _check.array(column, "x")
    assert found.dtype == np.float32 and found.tolist() == [[1, 1, 1], [0, 0, 0]]
    for second, error, text in (
        (np.ones(2), ValueError, "row 0 has 3 entries, row 1 has 2"),
        (None, ValueError, "x row 1 is missing"),
        (1.0, TypeError, "x row 1 is a float, others are arrays"),
    ):
        column[1] = second
        with pytest.raises(error, match=text):
            _check.array(column, "x")


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    pair = torch.complex(torch.ones(3), torch.ones(3))
    for lazy in (pair.conj().imag, pair.conj()):
        with pytest.raises(TypeError, match="x are a view whose signs are only noted; pass x.reso"):
            _check.read(lazy, "x")
    assert _check.read(pair.conj().imag.resolve_neg(), "x").tolist() == [-1, -1, -1]
    for bad, text in (
        (torch.ones(3, requires_grad=True), "pass x.detach"),
        (torch.ones(3, dtype=torch.bfloat16, requires_grad=True), "pass x.detach"),
        (torch.ones(3, dtype=torch.bfloat16, device="meta"), "meta tensor"),
        (torch.ones(3, device="meta"), "meta tensor"),
        (torch.ones(3).to_sparse(), "x cannot be read"),
    ):
        with pytest.raises(TypeError, match=text):
            _check.read(bad, "x")
    short = torch.tensor([1.5, -3e38, 1e-40], dtype=torch.bfloat16)
    assert _check.array(short, "x").dtype == np.float32
    assert _check.array(short, "x").tolist() == short.float().tolist()
    assert np.shares_memory(_check.read(ones := torch.ones(3), "x"), ones.numpy())


def test_element_types_of_others() -> None:
    types = pytest.importorskip("ml_dtypes")
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"):
        x = np.arange(-4, 4).reshape(2, 4).astype(getattr(types, name))
        assert _check.array(x, "x").dtype == np.float32
        np.testing.assert_array_equal(_check.array(x, "x"), x.astype(np.float32))
    rows = np.random.default_rng(0).normal(size=(9, 20)).astype(types.bfloat16)
    wide = rows.astype(np.float32)
    np.testing.assert_array_equal(
        am.pairwise(rows, rows, "manhattan"), am.pairwise(wide, wide, "manhattan")
    )
    memory = am.UniversalHopfield("manhattan", "max")
    memory.store(rows)
    np.testing.assert_array_equal(memory.recall(rows), wide)
    rows[1, 2] = np.nan
    with pytest.raises(ValueError, match="keys row 1"):
        memory.store(rows)


def test_pandas() -> None:
    pd = pytest.importorskip("pandas")
    ints, floats = pd.array([1, 2], "Int64"), pd.array([0.5, 1.5], "Float64")
    found = _check.array(pd.DataFrame({"a": ints, "b": floats}), "x")
    assert found.tolist() == [[1, 0.5], [2, 1.5]]
    for table, error, text in (
        ({"a": pd.array([1, None], "Int64"), "b": [1.0, 2.0]}, ValueError, "x column 'a' have 1 m"),
        ({"a": [2**53 + 1, 1], "b": [0.5, 0.5]}, ValueError, "x column 'a' hold the integer 9007"),
        ({"a": ["u", "v"], "b": [1.0, 2.0]}, TypeError, "x column 'a' must be real numbers"),
        ({"a": [np.ones(2)] * 2, "b": [1, 2]}, TypeError, r"column 'a' holds arrays; .*x\['a'\]"),
    ):
        with pytest.raises(error, match=text):
            _check.array(pd.DataFrame(table), "x")
    assert _check.array(pd.DataFrame({"e": [np.ones(3)] * 2}), "x").shape == (2, 3)
    plain = pd.DataFrame(np.ones((4, 3), np.float32))
    assert np.shares_memory(_check.array(plain, "x"), plain.to_numpy())


def test_polars() -> None:
    pl = pytest.importorskip("polars")
    lists = pl.Series("e", [[1.0, 2.0], [3.0, 4.0]])
    for x in (lists, pl.DataFrame({"e": lists}), lists.cast(pl.Array(pl.Float64, 2))):
        assert _check.array(x, "x").tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="x column 'b' have 1 missing entry"):
        _check.array(pl.DataFrame({"a": [1, 2], "b": [0.5, None]}), "x")
    with pytest.raises(ValueError, match="row 0 has 2 entries, row 1 has 1"):
        _check.array(pl.Series("e", [[1.0, 2.0], [3.0]]), "x")
    with pytest.raises(TypeError, match=r"pass x.collect\(\)"):
        _check.array(pl.DataFrame({"a": [1]}).lazy(), "x")


def test_pyarrow() -> None:
    pa = pytest.importorskip("pyarrow")
    fixed = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 3.0, 4.0], pa.float32()), 2)
    for x in (fixed, pa.table({"e": fixed}), pa.chunked_array([fixed])):
        found = _check.array(x, "x")
        assert found.dtype == np.float32 and found.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="x column 'b' have 1 missing entry"):
        _check.array(pa.table({"a": [1, 2], "b": [0.5, None]}), "x")


def test_array_api() -> None:
    xp = pytest.importorskip("array_api_strict")
    assert _check.array(xp.ones((2, 3)), "x").shape == (2, 3)


# -- shapes ---------------------------------------------------------------------------------------


def test_images_are_told_how_they_become_rows() -> None:
    images = np.zeros((3, 4, 5))
    for read in (_check.rows, _check.cues, bits.binary):
        with pytest.raises(ValueError, match=r"3-d.*images become rows by x\.reshape\(len\(x\), "):
            read(images, "x")
    with pytest.raises(ValueError, match=r"cues have 5 columns.*20; one image .* cues\.ravel\(\)"):
        _check.same_width(images[0], "cues", 20, "the memory stores")
    with pytest.raises(ValueError, match="cues have 5 columns, the memory stores 7$"):
        _check.same_width(images[0], "cues", 7, "the memory stores")
