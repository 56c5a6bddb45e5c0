"""The closed forms give the numbers known, their limits, and refuse what makes no sense."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

from amfast import theory

# -- Hopfield -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "error"),
    [(0.105, 0.0010), (0.138, 0.0036), (0.185, 0.0100), (0.37, 0.050), (0.61, 0.100)],
)
def test_bit_error(load, error) -> None:
    assert theory.hopfield_bit_error(load) == pytest.approx(error, abs=6e-5 if load < 0.2 else 5e-4)
    kept = theory.hopfield_bit_error(load, zero_diagonal=False)
    tail = math.erfc((1 + load) / math.sqrt(2 * load)) / 2
    assert kept == pytest.approx(tail) and kept < theory.hopfield_bit_error(load)


def test_bit_error_at_the_ends() -> None:
    assert theory.hopfield_bit_error(0) == 0
    assert theory.hopfield_bit_error(1e-9) == 0
    assert theory.hopfield_bit_error(1e9) == pytest.approx(0.5, abs=1e-4)
    # With the diagonal a bit is hardest to hold at a load of 1.
    assert theory.hopfield_bit_error(1e4, zero_diagonal=False) < 1e-300


@pytest.mark.parametrize(("load", "overlap"), [(0.12, 0.993), (0.135, 0.981), (0.1375, 0.973)])
def test_overlap(load, overlap) -> None:
    m = theory.hopfield_overlap(load)
    assert m == pytest.approx(overlap, abs=5e-4)
    # It solves the three equations as they are written.
    y = _inverse_erf(m)
    c = 2 * y / (math.sqrt(math.pi) * m) * math.exp(-y * y)
    r = (1 - c) ** -2
    assert m == pytest.approx(math.erf(m / math.sqrt(2 * load * r)), abs=1e-9)


def _inverse_erf(m: float) -> float:
    low, high = 0.0, 6.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < m else (low, middle)
    return low


def test_critical_load() -> None:
    critical = theory.hopfield_critical_load()
    assert 0.1375 < critical < 0.138
    assert theory.hopfield_overlap(critical * (1 + 1e-9)) == 0
    assert 0.96 < theory.hopfield_overlap(critical * (1 - 1e-9)) < 0.97
    assert theory.hopfield_overlap(0) == 1
    assert theory.hopfield_overlap(1e-6) == 1
    loads = np.linspace(0.01, 0.1378, 50)
    assert (np.diff([theory.hopfield_overlap(load) for load in loads]) <= 0).all()


# THEORY.md S2: d, n50 one, its ratio to d / (2 ln d), n50 all, its ratio to d / (4 ln d).
N50 = [
    (64, 13.1, 1.71, 8.1, 2.11),
    (256, 34.1, 1.48, 20.3, 1.76),
    (1024, 100.7, 1.36, 58.2, 1.58),
    (4096, 319.9, 1.30, 181.2, 1.47),
    (16384, 1061, 1.26, 593, 1.40),
]


@pytest.mark.parametrize(("d", "one", "times_one", "every", "times_all"), N50)
def test_n50(d, one, times_one, every, times_all) -> None:
    found = theory.hopfield_n50(d, "one"), theory.hopfield_n50(d, "all")
    assert found == pytest.approx((one, every), rel=4e-3)
    ratios = found[0] / theory.hopfield_capacity(d, "one"), found[1] / theory.hopfield_capacity(d)
    assert ratios == pytest.approx((times_one, times_all), abs=0.01)


def test_bounds_are_bounds() -> None:
    for d in (64, 1024):
        for n in (2, 5, 20, 60):
            error = theory.hopfield_bit_error((n - 1) / d)
            assert error <= theory.hopfield_bit_bound(n, d)
        for which in ("one", "all"):
            assert theory.hopfield_union_bound(d, 0.5, which) < theory.hopfield_n50(d, which)
    n = theory.hopfield_union_bound(1024, 0.01)
    assert n == pytest.approx(1 + 1024 / (2 * math.log(n * 1024 / 0.01)))
    assert theory.hopfield_bit_bound(1, 10) == 0


def test_the_textbook_constant_is_reached_slowly() -> None:
    for which in ("one", "all"):
        ratio = [
            theory.hopfield_n50(2**k, which) / theory.hopfield_capacity(2**k, which)
            for k in range(6, 60, 6)
        ]
        assert (np.diff(ratio) < 0).all() and 1 < ratio[-1] < 1.2


# -- dense and exponential memories ---------------------------------------------------------------


def test_dense_capacity() -> None:
    assert theory.dense_capacity(100, 2) == pytest.approx(11, abs=0.5)
    assert theory.dense_capacity(100, 3) == pytest.approx(362, abs=0.5)
    assert theory.dense_capacity(100, 4) == pytest.approx(7240, abs=5)
    # Larger powers are not always better: the double factorial wins.
    largest = max(range(2, 300), key=lambda n: theory.dense_capacity(100, n))
    assert 45 < largest < 55
    assert theory.dense_capacity(10**6, 200) == math.inf


def test_dense_bit_error_is_its_definition() -> None:
    for d, k, n in [(5, 3, 2), (6, 9, 3), (8, 20, 4), (7, 4, 1)]:
        for interaction in ("power", "rectified"):
            signs = np.array(np.meshgrid(*[[-1, 1]] * (d - 1))).reshape(d - 1, -1)
            r = signs.sum(axis=0).astype(float)

            def force(x, n=n, interaction=interaction):
                return np.where(x < 0, 0.0, x**n) if interaction == "rectified" else x**n

            variance = ((force(r + 1) - force(r - 1)) ** 2).mean()
            signal = float(force(np.array(d)) - force(np.array(d - 2)))
            wanted = math.erfc(signal / math.sqrt(2 * (k - 1) * variance)) / 2
            got = theory.dense_bit_error(d, k, n, interaction=interaction)
            assert got == pytest.approx(wanted, rel=1e-9)
    assert theory.dense_bit_error(10, 1, 3) == 0


def test_dense_limits() -> None:
    # n = 2 is Hopfield's network without a diagonal.
    assert theory.dense_bit_error(1000, 138, 2) == pytest.approx(
        theory.hopfield_bit_error(0.137), rel=0.02
    )
    assert theory.dense_bit_error(1000, 141, 2) == pytest.approx(0.0036, abs=4e-4)
    # The paper's tail is the same where errors are rare.
    assert theory.dense_bit_error_tail(2000, 100, 2) == pytest.approx(
        theory.dense_bit_error(2000, 101, 2), rel=0.1
    )
    half = (1 - theory.dense_bit_error(100, theory.dense_n50(100, 3), 3)) ** 100
    assert half == pytest.approx(0.5)


@pytest.mark.parametrize(("d", "n"), [(100, 2), (100, 3), (100, 4), (200, 3)])
def test_dense_n50_explains_what_was_measured(d, n) -> None:
    """Half-success at about 1.6 K_max for the power and 2.9 K_max for the rectified one (S4)."""
    power, rectified = (
        theory.dense_n50(d, n, interaction=i) / theory.dense_capacity(d, n)
        for i in ("power", "rectified")
    )
    assert power == pytest.approx(1.6, rel=0.1) and rectified == pytest.approx(2.9, rel=0.1)


def test_huge_sizes_do_not_overflow() -> None:
    assert theory.dense_bit_error(2000, 1e6, 30) == 0
    assert 0.4 < theory.dense_bit_error(2000, 1e300, 30) <= 0.5
    assert 1e20 < theory.dense_n50(1000, 40) < math.inf


def test_exponential() -> None:
    for rho, alpha in ((0, 0.3466), (0.1, 0.184), (0.2, 0.0964)):
        assert theory.exponential_exponent(rho) == pytest.approx(alpha, abs=5e-5)
        assert theory.exponential_exponent(rho, "one") == 2 * theory.exponential_exponent(rho)
    assert theory.exponential_exponent(0.5) == 0
    assert theory.exponential_rate(-0.3) == theory.exponential_rate(0.3)
    assert theory.exponential_rate(1) == pytest.approx(math.log(2))
    assert theory.exponential_capacity(40, 0.1) == pytest.approx(math.exp(0.18403 * 40), rel=1e-3)
    # A rate: the chance of an overlap falls like its exponential.
    d, a = 4000, 0.2
    tail = sum(
        math.exp(math.lgamma(d + 1) - math.lgamma(k + 1) - math.lgamma(d - k + 1) - d * math.log(2))
        for k in range(int(d * (1 + a) / 2), d + 1)
    )
    assert -math.log(tail) / d == pytest.approx(theory.exponential_rate(a), rel=0.06)


def test_onestep() -> None:
    assert theory.onestep_exponent(values="arbitrary") == pytest.approx(0.5662, abs=5e-5)
    assert theory.onestep_exponent(values="arbitrary") == pytest.approx(1 - math.log(math.cosh(1)))
    assert theory.onestep_exponent() == pytest.approx(0.675, abs=5e-4)
    assert theory.onestep_exponent(0.0) == 0
    assert theory.onestep_exponent(50.0) == pytest.approx(math.log(2))
    birthday = [theory.onestep_birthday(d) for d in range(12, 25, 2)]
    assert np.rint(birthday).tolist() == [75, 151, 301, 603, 1206, 2411, 4823]
    assert theory.onestep_union_exponent() == pytest.approx(0.1716, abs=5e-5)
    assert theory.onestep_union_exponent() < theory.exponential_exponent()
    for d in (12, 20, 24, 100):
        assert theory.onestep_width(theory.onestep_birthday(d)) == pytest.approx(d)
    # S3: one given pair of n = 9.8e3 at d = 16, of 8.5e5 at d = 24 with arbitrary values.
    assert theory.onestep_width(9.8e3, "one") == pytest.approx(16, abs=0.5)
    assert theory.onestep_width(8.5e5, "one") == pytest.approx(24, abs=0.5)
    assert theory.onestep_width(1) == theory.onestep_width(1, "one") == 1


def test_sequences() -> None:
    assert theory.sequence_critical_load() == pytest.approx(0.269, abs=5e-4)  # Duering et al.
    for d in (64, 256, 1024):
        # One step of a Hopfield network between random pairs is the same with n = 1.
        assert theory.sequence_n50(d) == pytest.approx(theory.hopfield_n50(d, "all"))
    for n, odd in ((1, 1), (2, 3), (3, 15)):
        d = 10**5
        p = theory.sequence_n50(d, n)
        assert p * d * math.erfc(math.sqrt(d**n / odd / (p - 1) / 2)) / 2 == pytest.approx(
            math.log(2), rel=1e-3
        )


def test_radii_of_a_memory_with_every_address() -> None:
    """Bricken and Pehlevan's radii at n = 64, m = 1024, r = 2^64 (S8)."""
    assert theory.sdm_best_p(2**64, 1024) == pytest.approx(2.98e-8, rel=2e-3)
    assert theory.sdm_capacity_p(2**64) == pytest.approx(2.0e-13, rel=5e-3)
    assert theory.sdm_best_radius(64, 2**64, 1024) == 11
    assert theory.sdm_capacity_radius(64, 2**64) == 5


@pytest.mark.parametrize("locations", [1000, 10**6, 2**64])
def test_capacity_p_is_a_maximum(locations) -> None:
    z2 = 2.3263478740408408**2
    best = theory.sdm_capacity_p(locations)

    def items(p):
        return (p * locations / z2 - 1) / (p + p**3 * locations)

    assert items(best) > max(items(best * 1.01), items(best / 1.01)) > 0
    if locations < 2**60:
        # At that many items the signal to noise ratio is the z of the error.
        assert theory.sdm_snr(locations, round(items(best)), best) ** 2 == pytest.approx(
            z2, rel=0.1
        )


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.hopfield_bit_error(-0.1), "load must be a finite number >= 0, got -0.1"),
        (lambda: theory.hopfield_overlap(math.nan), "load must be a finite number >= 0, got nan"),
        (lambda: theory.hopfield_capacity(1), "d must be an int >= 2, got 1"),
        (lambda: theory.hopfield_n50(64, "both"), "which must be one of 'one', 'all'"),
        (lambda: theory.hopfield_union_bound(64, 1.0), "failure must be between 0 and 1, got 1"),
        (lambda: theory.dense_capacity(100, 1), "n must be an int >= 2, got 1"),
        (lambda: theory.dense_bit_error(100, 0, 3), "k must be a finite number >= 1, got 0"),
        (lambda: theory.dense_n50(9, 2, interaction="exp"), "interaction must be one of 'power'"),
        (lambda: theory.exponential_exponent(0.6), r"corruption must be in 0..0.5, got 0.6"),
        (lambda: theory.exponential_rate(1.5), r"a must be in -1..1, got 1.5"),
        (lambda: theory.onestep_exponent(values="all"), "values must be one of 'arbitrary'"),
        (lambda: theory.sdm_capacity_p(0), "n_locations must be an int >= 1, got 0"),
        (lambda: theory.sdm_capacity_p(10, 0.5), "error must be between 0 and 1/2, got 0.5"),
        (lambda: theory.onestep_birthday(0), "d must be an int >= 1, got 0"),
        (lambda: theory.onestep_width(0.5), "n must be a finite number >= 1, got 0.5"),
        (lambda: theory.onestep_width(5, "some"), "which must be one of 'one', 'all'"),
    ],
)
def test_refused(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_everything_is_exported_and_documented() -> None:
    for name in theory.__all__:
        assert (getattr(theory, name).__doc__ or "").strip(), name


# -- every argument at its limits -----------------------------------------------------------------

GIVEN = {
    **dict(d=64, n=3, k=5, load=0.1, which="all", failure=0.1, corruption=0.1, values="random"),
    **dict(n_bits=64, n_locations=1000, radius=20, n_items=50, distance=10, max_iter=3, a=0.1),
    **dict(p=0.01, error=0.01, beta=1.0, n_components=4, margin=1.0, excess=3.0, n_features=3),
    **dict(n_tokens=5, alpha=1.0, norm=2.0, spread=1.0, undersampling=0.5, n_constraints=30),
    **dict(n_groups=1, share=0.01),
    **dict(rank=5, levels=2, n_pairs=10, label_noise=0.1, n_steps=10, step=3, lr=0.1),
    **dict(
        o=32,
        frequency=0.2,
        power=2.0,
        interaction="power",
        zero_diagonal=True,
        autoassociative=True,
    ),
}
FUNCTIONS = [name for name in theory.__all__ if not isinstance(getattr(theory, name), type)]
# The least integer that each takes, where it is not that of the argument's other owners.
LEAST = {
    **dict(n_constraints=1, n_pairs=1, n_components=1, n_features=1, n_tokens=1, n_steps=1, d=1),
    **dict(n=1, k=1, n_bits=1, n_locations=1, radius=0, n_items=1, distance=0, max_iter=1, step=0),
    **dict(rank=0, levels=1, o=2, n_groups=1),
}
LEAST_OF = {
    ("attention_beta", "radius"): 1,
    ("attention_target_weight", "radius"): 1,
    ("l1_capacity", "n"): 31,  # one more than its constraints
    **{(name, "d"): 2 for name in ("hopfield_capacity", "hopfield_n50", "dense_capacity")},
    **{(name, "d"): 2 for name in ("dense_bit_error", "dense_bit_error_tail", "dense_n50")},
    **{(name, "d"): 2 for name in ("modern_capacity", "modern_capacity_base")},
    **{(name, "d"): 2 for name in ("bidirectional_n50", "sequence_n50", "storkey_capacity")},
    **{(name, "n"): 2 for name in ("dense_capacity", "dense_bit_error_tail")},
}
INTEGERS = [
    (name, argument)
    for name in FUNCTIONS
    for argument in inspect.signature(getattr(theory, name)).parameters
    if argument in LEAST and argument != "n_bits"  # bounded by the radius beside it
    # These refuse sizes that only a swap of arguments explains.
    if name not in ("sdm_best_radius", "sdm_convergence_distance", "sdm_iterated_distance")
    or argument not in ("n_locations", "radius")
]


def call(name: str, **changed):
    function = getattr(theory, name)
    given = {argument: GIVEN[argument] for argument in inspect.signature(function).parameters}
    if name == "l1_capacity":
        given["n"] = 64
    return function(**{**given, **changed})


@pytest.mark.parametrize(("name", "argument"), INTEGERS)
def test_the_least_integer_is_taken_and_one_less_refused(name, argument) -> None:
    least = LEAST_OF.get((name, argument), LEAST[argument])
    found = call(name, **{argument: least})
    numbers = (
        [found.signal, found.bias, found.noise] if isinstance(found, theory.SdmRead) else found
    )
    assert not np.isnan(numbers).any()
    with pytest.raises(ValueError, match=rf"\b{argument}\b|n_constraints"):
        call(name, **{argument: least - 1})


def test_limits_by_hand() -> None:
    assert theory.muon_noiseless_loss(7, 0) == 7
    # Two locations are too few for any p to answer well: all of them are best.
    assert theory.sdm_capacity_p(1) == theory.sdm_capacity_p(2) == 1.0
    assert theory.sdm_capacity_p(1000) < 1.0
    for which in ("one", "all"):
        n = theory.hopfield_n50(2, which)
        wrong = 2 * math.erfc(math.sqrt(2 / (n - 1)) / math.sqrt(2)) / 2
        assert wrong * (1 if which == "one" else n) == pytest.approx(math.log(2))


NUMBERS = [
    (name, argument)
    for name in FUNCTIONS
    for argument, value in GIVEN.items()
    if argument in inspect.signature(getattr(theory, name)).parameters
    and isinstance(value, int | float)
    and not isinstance(value, bool)
]


@pytest.mark.parametrize(("name", "argument"), NUMBERS)
def test_integers_beyond_floats_are_refused_by_name(name, argument) -> None:
    """And what is just within answers, or is refused by name: it does not overflow on the way."""
    for bad in (10**400, -(10**400), 10**5000):
        with pytest.raises(ValueError, match=rf"\b{argument}\b.* (must|are)"):
            call(name, **{argument: bad})


HUGE = 10**308


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (name, (argument,))
        for name, argument in NUMBERS
        if argument not in ("distance", "max_iter", "radius", "n_constraints", "rank", "levels")
    ]
    + [("sdm_best_p", ("n_locations", "n_items")), ("sdm_snr", ("n_locations", "n_items"))]
    + [("hopfield_bit_bound", ("n", "d")), ("modern_separation", ("n", "norm"))],
)
def test_the_largest_integers_answer_or_are_refused(name, arguments) -> None:
    with np.errstate(over="raise", invalid="raise"):
        try:
            found = call(name, **dict.fromkeys(arguments, HUGE))
        except ValueError as error:
            assert any(argument in str(error) for argument in arguments)
        else:
            assert not np.isnan(found).any()


def test_messages_beyond_the_memory_of_the_machine() -> None:
    assert theory.subspace_messages(3, 10**100) == 10**300
    assert theory.subspace_messages(10**100, 1) == 1
    for rank, levels in ((10**200, 2), (10**12, 10**200)):
        with pytest.raises(MemoryError, match="GB"):
            theory.subspace_messages(rank, levels)


def test_birthday_is_within_two_keys() -> None:
    for d in range(1, 16):
        distinct, n = 1.0, 0
        while distinct > 0.5:
            distinct *= 1 - n / 2**d
            n += 1
        assert abs(theory.onestep_birthday(d) - n) < 2


def test_a_bound_beyond_floats_is_infinite_without_a_warning() -> None:
    assert theory.modern_error_bound(-1e6, 10, 1.0, 1.0) == math.inf
    found = theory.modern_error_bound([-1e6, 0.0, 1e6, math.inf], 10, 1.0, 1.0)
    assert found.tolist() == [math.inf, 2 * math.e * 9, 0.0, 0.0]
    with pytest.raises(TypeError, match="margin must be real numbers"):
        theory.modern_error_bound("1", 10, 1.0, 1.0)
