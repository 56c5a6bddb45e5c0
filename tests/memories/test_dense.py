"""Dense associative and exponential memories, and the dynamics below them."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest

import amfast as am
from amfast import reference
from amfast._engine import flipping
from amfast._engine.flipping import Worth
from amfast.memories.dense.interaction import Interaction
from amfast.parts.dynamics import Motion, Rules

XOR = np.array([[-1, -1, -1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]], np.int8)


def signs(rng, *shape) -> np.ndarray:
    return (rng.integers(0, 2, shape) * 2 - 1).astype(np.int8)


def overlap_flips(states, patterns, n, rules, *, rectified=False, weights=None, threads=1, **more):
    """The engine on patterns with F = o^n."""
    f = Interaction("rectified" if rectified else "power", n, 1.0)
    d = states.shape[1]
    args = {"bias": None, "clamp": None, "scale": 1.0, "self_term": False} | more
    own = args["self_term"]
    table = f.slopes(d) if own else f.steps(d)
    worth = Worth(table, f.energies(d), None, args["scale"], own)
    motion = Motion(args["bias"], args["clamp"], rules, threads)
    return flipping.by_overlaps(states, am.pack(patterns), weights, worth, motion)


# -- the engine against the reference -------------------------------------------------------------


@pytest.mark.parametrize("case", range(60))
def test_flips_are_those_of_the_reference(case):
    rng = np.random.default_rng(case)
    d, k, n = (int(rng.integers(*r)) for r in ((1, 14), (1, 70), (1, 6)))
    rectified, own = bool(rng.integers(2)), case % 5 == 0
    patterns, states = signs(rng, k, d), signs(rng, 3, d)
    weights = rng.integers(0, 4, k).astype(float)
    rules = Rules(
        update=str(rng.choice(["async", "sync"])),
        order=str(rng.choice(["random", "fixed"])),
        tie=int(rng.integers(-1, 2)),
        temperature=float(rng.choice([0.0, 2.5])),
        max_sweeps=int(rng.integers(0, 8)),
        seed=int(rng.integers(2**63)),
        energies=True,
    )
    clamp, bias = rng.random((3, d)) < 0.3, rng.integers(-2, 3, d).astype(float)

    def worth(o):
        return (np.maximum(o, 0) if rectified else np.asarray(o)).astype(float) ** n

    def step(o):
        return (worth(np.asarray(o) + 1) - worth(np.asarray(o) - 1)) / 2

    def slope(o):
        return n * np.asarray(o, float) ** (n - 1) * ((np.asarray(o) > 0) | (not rectified))

    def energy(s):
        return -float((weights * worth(patterns.astype(int) @ s)).sum() + bias @ s)

    keywords = asdict(rules)
    keywords.pop("energies")
    terms = reference.overlap_terms(patterns, weights, slope if own else step, own)
    want = reference.flips(states, terms, bias=bias, clamp=clamp, energy=energy, **keywords)
    for threads in (1, 2):
        got = overlap_flips(
            states,
            patterns,
            n,
            rules,
            rectified=rectified,
            weights=weights,
            threads=threads,
            clamp=clamp,
            bias=bias,
            self_term=own,
        )
        for a, b in zip(got[:4], want[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        for trace, known in zip(got.energies, want[4], strict=True):
            np.testing.assert_array_equal(trace[: len(known)], known)
            assert np.isnan(trace[len(known) :]).all()


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_a_matrix_and_its_patterns_agree(rng, dtype):
    patterns, states = signs(rng, 20, 67), signs(rng, 6, 67)
    matrix = (patterns.astype(int).T @ patterns).astype(dtype)
    bias = rng.normal(size=67)
    for update, own in itertools.product(("async", "sync"), (False, True)):
        motion = Motion(bias, None, Rules(update=update, energies=True, seed=7), 2)
        got = flipping.by_matrix(states, matrix, 1 / 67, own, motion)
        f = np.arange(-67, 68, 2.0)
        table = f if own else np.arange(-66, 67, 2.0)
        worth = Worth(table, f * f / 2, None, 1 / 67, own)
        want = flipping.by_overlaps(states, am.pack(patterns), None, worth, motion)
        for a, b in zip(got[:4], want[:4], strict=True):
            np.testing.assert_array_equal(a, b)
        apart = 0 if own else 20 / 2
        np.testing.assert_allclose(got.energies, want.energies + apart, rtol=1e-12)


def test_orders_of_the_reference_differ():
    orders = {
        tuple(reference.sweep_order(seed, key, sweep, np.arange(30)))
        for seed, key, sweep in itertools.product((0, 2**64 - 1), (0, 1), (0, 1))
    }
    assert len(orders) == 8
    assert all(sorted(order) == list(range(30)) for order in orders)


@pytest.mark.parametrize("temperature", [None, 1e6])
@pytest.mark.parametrize("d", [63, 64, 65, 200])
def test_copies_of_a_cue_move_alike_unless_they_are_samples(d, temperature):
    rng = np.random.default_rng(d)
    memory = am.DenseAssociativeMemory(3)
    memory.store(signs(rng, 30, d))
    cues = signs(rng, 40, d)
    cues[5] = cues[30] = cues[2]
    asked = {"temperature": temperature, "max_sweeps": 3}
    together = memory.recall(cues, **asked)
    for row in (0, 2, 39):
        np.testing.assert_array_equal(memory.recall(cues[row], **asked), together[row])
    if temperature:  # copies are samples, the first is that of the cue alone
        assert len({together[row].tobytes() for row in (2, 5, 30)}) == 3
        other = memory.recall(cues, seed=1, **asked)
        assert (other != together).any(axis=1).sum() > 30
    else:
        np.testing.assert_array_equal(together[[5, 30]], together[[2, 2]])


# -- what the literature says ---------------------------------------------------------------------


@pytest.mark.parametrize("interaction", ["power", "rectified"])
@pytest.mark.parametrize("n", range(1, 8))
@pytest.mark.parametrize("update", ["async", "sync", "one-step"])
def test_xor_is_solved_by_odd_powers_and_by_rectified_ones(interaction, n, update):
    memory = am.DenseAssociativeMemory(n, interaction=interaction)
    memory.store(XOR[:, :2], XOR[:, 2:])
    found = memory.recall(XOR[:, :2], update=update, details=True)
    if update == "one-step":
        # Overlaps of the cue alone are 2, 0, 0, -2: slopes see the sign of odd powers' only.
        solved = n >= 2 if interaction == "rectified" else n % 2 == 1 and n >= 3
        solved = solved or (interaction == "rectified" and n == 1)
    else:
        solved = n >= 2 if interaction == "rectified" else n % 2 == 1 and n >= 3
    if solved:
        np.testing.assert_array_equal(found.state, XOR[:, 2:])
        assert not found.undecided.any()
    else:
        np.testing.assert_array_equal(found.state, 0)
        assert (found.undecided == 1).all() and found.undecided_units.all()


def test_xor_ties_in_kinds_without_a_third_value():
    memory = am.DenseAssociativeMemory(2)
    memory.store(XOR[:, :2] > 0, XOR[:, 2:] > 0)
    found = memory.recall(XOR[:, :2] > 0, details=True)
    assert found.state.dtype == bool and not found.state.any()
    assert found.undecided.tolist() == [1, 1, 1, 1]
    assert memory.recall(XOR[:, :2] > 0, tie=1).all()


@pytest.mark.parametrize("n, low, high", [(3, 0.0, 0.0), (4, 0.6, 1.0), (5, 1.0, 1.0)])
def test_random_starts_fall_into_memories_from_n_4_on(n, low, high):
    # All of them from n = 5 on; of 200 starts 88 % at n = 4, none at n = 3.
    rng = np.random.default_rng(3)
    patterns, starts = signs(rng, 2000, 100), signs(rng, 20, 100)
    memory = am.DenseAssociativeMemory(n)
    memory.store(patterns)
    found = memory.recall(starts, details=True)
    best = (found.state.astype(int) @ patterns.T.astype(int)).__abs__().max(axis=1)
    assert found.converged.all()
    assert low <= (best == 100).mean() <= high
    assert (np.diff(found.energy_trace, axis=1) <= 0).all()
    np.testing.assert_array_equal(found.energy, memory.energy(found.state))


def test_stored_patterns_are_fixed_points_below_capacity_and_not_above():
    rng = np.random.default_rng(5)
    for interaction, load, low, high in [
        ("power", 0.5, 0.97, 1.0),
        ("power", 3.0, 0.0, 0.2),
        ("rectified", 1.0, 0.97, 1.0),
    ]:
        patterns = signs(rng, round(load * 362), 100)
        memory = am.DenseAssociativeMemory(3, interaction=interaction)
        memory.store(patterns)
        still = (memory.recall(patterns, "sync", max_sweeps=1) == patterns).all(axis=1).mean()
        assert low <= still <= high


def test_the_exponential_corrects_what_its_theorem_says():
    # alpha = I(1 - 2 rho) / 2 at rho = 0.1 and N = 30.
    rng = np.random.default_rng(6)
    n_patterns = round(math.exp(am.theory.exponential_exponent(0.1) * 30))
    right = 0
    for _ in range(20):
        patterns = signs(rng, n_patterns, 30)
        cue = patterns[0].copy()
        cue[rng.permutation(30)[:3]] *= -1
        memory = am.DenseAssociativeMemory(interaction="exponential")
        memory.store(patterns)
        right += (memory.recall(cue, "sync", max_sweeps=1) == patterns[0]).all()
    assert right >= 17


def test_energy_difference_is_not_one_step():
    # A pattern that agrees counts e^-2 of one that does not, in the difference of energies alone.
    memory = am.DenseAssociativeMemory(interaction="exponential")
    patterns = np.array([[1, 1, 1], [-1, 1, 1], [-1, -1, 1]])
    memory.store(patterns)
    overlaps = patterns @ [1, 1, 1]
    one = np.sign((np.exp(overlaps) * patterns[:, 0]).sum())
    difference = np.sign((np.exp(overlaps - patterns[:, 0]) * patterns[:, 0]).sum())
    assert memory.recall([1, 1, 1], "one-step")[0] == one == 1
    assert memory.recall([1, 1, 1], "sync", max_sweeps=1)[0] == difference == -1


# -- exactness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, d", [(1, 1), (2, 9), (3, 100_000), (5, 5000), (7, 64), (40, 301)])
def test_tables_are_rounded_once(n, d):
    # float(int) rounds correctly; both sides of what 64-bit integers hold are here.
    picked = range(0, d, max(1, d // 50))
    for kind in ("power", "rectified"):
        f = Interaction(kind, n, 1.0)

        def worth(o, kind=kind):
            return 0 if kind == "rectified" and o < 0 else o**n

        for a in picked:
            o = 2 * a - d
            assert f.energies(d)[a] == float(worth(o))
            assert f.steps(d)[a] == float(worth(o + 2) - worth(o)) / 2
            slope = 0 if kind == "rectified" and o <= 0 else n * o ** (n - 1)
            assert f.slopes(d)[a] == float(slope)
        assert len(f.steps(d)) == d and len(f.energies(d)) == len(f.slopes(d)) == d + 1


@pytest.mark.parametrize("n", [2, 3, 39, 40])
@pytest.mark.parametrize("interaction", ["power", "rectified"])
def test_fields_are_exact_at_a_hundred_thousand_units(n, interaction):
    rng = np.random.default_rng(n)
    d, k = 100_000, 5
    patterns = signs(rng, k, d)
    patterns[3] = patterns[2]
    patterns[3, :7] *= -1
    memory = am.DenseAssociativeMemory(n, interaction=interaction)
    memory.store(patterns, weights=[1, 2, 3, 3, 5])
    cue = patterns[2].copy()
    cue[:40_000] *= -1
    keep = np.ones(d, bool)
    watched = np.r_[:12, rng.integers(0, d, 20)]
    keep[watched] = False
    found = memory.recall(cue, "sync", max_sweeps=1, clamp=keep, details=True)
    overlaps = (patterns.astype(np.int64) @ cue).tolist()

    def worth(o):
        return 0 if interaction == "rectified" and o < 0 else o**n

    for i in watched.tolist():
        field = 0
        for x, o, w in zip(patterns[:, i].tolist(), overlaps, [1, 2, 3, 3, 5], strict=True):
            rest = o - x * int(cue[i])
            field += w * x * (worth(rest + 1) - worth(rest - 1))
        assert found.state[i] == np.sign(field)
    energy = -sum(w * worth(o) for w, o in zip([1, 2, 3, 3, 5], overlaps, strict=True))
    assert abs(Fraction(memory.energy(cue)) - energy) <= abs(energy) * Fraction(1, 2**50)


def test_ties_are_exact_where_sums_are_not():
    # Two patterns and their images under reversal of unit 0, in weights that are not exact.
    rng = np.random.default_rng(8)
    half = signs(rng, 40, 101)
    patterns = np.concatenate([half, half * np.r_[-1, np.ones(100, int)]]).astype(np.int8)
    weights = np.tile(rng.random(40), 2)
    cues = signs(rng, 20, 101)
    for kind in ({"n": 7}, {"n": 40}, {"interaction": "exponential"}, {"n": 9, "real": True}):
        memory = am.DenseAssociativeMemory(**kind)
        memory.store(patterns, weights=weights)
        found = memory.recall(cues, details=True)
        assert found.undecided_units[:, 0].all()
        np.testing.assert_array_equal(found.state[:, 0], cues[:, 0])
        for tie in (-1, 1):
            assert (memory.recall(cues, tie=tie)[:, 0] == tie).all()


@pytest.mark.parametrize("d, beta", [(7, 1.0), (3000, 1.0), (60, 1e6), (60, 1e-3)])
def test_the_exponential_never_overflows(d, beta):
    rng = np.random.default_rng(9)
    patterns = signs(rng, 9, d)
    memory = am.DenseAssociativeMemory(interaction="exponential", beta=beta)
    memory.store(patterns, weights=np.arange(9))
    found = memory.recall(signs(rng, 5, d), details=True)
    assert np.isfinite(found.energy_trace).all()
    assert (np.diff(found.energy_trace, axis=1) <= 1e-12 * np.abs(found.energy[:, None])).all()
    overlaps = (patterns.astype(int) @ found.state.T).T
    top = overlaps[:, 1:].max(axis=1)
    mass = (np.arange(9) * np.exp(beta * (overlaps - top[:, None]).clip(max=0))).sum(axis=1)
    if (overlaps[:, 0] <= top).all():
        np.testing.assert_allclose(found.energy, -(beta * top + np.log(mass)), rtol=1e-12)


def test_too_steep_powers_are_refused_with_numbers():
    memory = am.DenseAssociativeMemory(200)
    with pytest.raises(ValueError, match=r"n=200 is too large for 1000 units.*1e600.*n <= 102"):
        memory.store(np.ones((1, 1000)))
    assert len(memory) == 0
    am.DenseAssociativeMemory(102).store(np.ones((1, 1000)))
    with pytest.raises(ValueError, match="absolute sum 1000"):
        am.DenseAssociativeMemory(200, real=True).store(np.full((1, 10), 100.0))


# -- real patterns --------------------------------------------------------------------------------


@pytest.mark.parametrize("interaction", ["power", "rectified", "exponential"])
@pytest.mark.parametrize("update", ["async", "sync", "one-step"])
@pytest.mark.parametrize("hetero", [False, True])
def test_real_patterns_of_ones_are_binary_ones(rng, interaction, update, hetero):
    patterns, cues, clamp = signs(rng, 70, 33), signs(rng, 9, 33), rng.random((9, 33)) < 0.2
    values = signs(rng, 70, 5) if hetero else None
    found = []
    for real in (False, True):
        memory = am.DenseAssociativeMemory(4, interaction=interaction, real=real)
        memory.store(patterns, values, weights=np.arange(70) % 3)
        more = {} if hetero else {"clamp": clamp}
        found.append(memory.recall(cues, update, seed=4, details=True, **more))
        np.testing.assert_allclose(memory.scores(cues), cues.astype(int) @ patterns.T)
    a, b = found
    for name in ("state", "n_iter", "converged", "cycle", "undecided", "undecided_units"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    if a.energy is not None:
        np.testing.assert_allclose(a.energy, b.energy, rtol=1e-13)


def test_real_patterns_follow_their_energy(rng):
    patterns, cues = rng.normal(size=(40, 21)), signs(rng, 8, 21)
    for kind in ({"n": 2}, {"n": 5}, {"n": 4, "interaction": "rectified"}):
        for scale in (1e-4, 1.0, 1e4):
            memory = am.DenseAssociativeMemory(real=True, **kind)
            memory.store(patterns * scale)
            found = memory.recall(cues, details=True)
            assert found.converged.all()
            o = (patterns * scale) @ found.state.T
            o = np.maximum(o, 0) if "interaction" in kind else o
            np.testing.assert_allclose(found.energy, -(o ** kind["n"]).sum(axis=0), rtol=1e-12)
            for i in range(21):  # no unit can go lower
                other = found.state.copy()
                other[:, i] *= -1
                assert (memory.energy(other) >= found.energy).all()


# -- units that are held, pushed or shaken --------------------------------------------------------


def test_clamped_units_never_change(rng):
    patterns, cues = signs(rng, 30, 50), signs(rng, 6, 50)
    memory = am.DenseAssociativeMemory(3)
    memory.store(patterns)
    for clamp in (rng.random(50) < 0.5, rng.random((6, 50)) < 0.5):
        for update in ("async", "sync", "one-step"):
            found = memory.recall(cues, update, clamp=clamp, details=True)
            held = np.broadcast_to(clamp, cues.shape)
            np.testing.assert_array_equal(found.state[held], cues[held])
            assert not found.undecided_units[held].any()
            assert (found.state != cues).any()
    np.testing.assert_array_equal(memory.recall(cues, clamp=np.ones(50, bool)), cues)


def test_half_a_pattern_brings_the_rest(rng):
    patterns = signs(rng, 40, 60)
    memory = am.DenseAssociativeMemory(4)
    memory.store(patterns)
    cues, clamp = patterns.copy(), np.arange(60) < 30
    cues[:, 30:] = -1
    np.testing.assert_array_equal(memory.recall(cues, clamp=clamp), patterns)


def test_bias_decides_ties_and_enters_the_energy(rng):
    patterns = signs(rng, 4, 12)
    memory = am.DenseAssociativeMemory(2, bias=np.full(12, 1e9))
    memory.store(patterns)
    assert (memory.recall(signs(rng, 3, 12)) == 1).all()
    plain = am.DenseAssociativeMemory(2)
    plain.store(patterns)
    cues = signs(rng, 3, 12)
    offset = -1e9 * cues.sum(axis=1)
    np.testing.assert_allclose(memory.energy(cues), plain.energy(cues) + offset)
    xor = am.DenseAssociativeMemory(2, bias=0.5)
    xor.store(XOR[:, :2], XOR[:, 2:])
    assert (xor.recall(XOR[:, :2]) == 1).all()


def test_temperature_gives_boltzmann_s_distribution():
    # Three units under one pattern: all eight states, by their energies.
    memory = am.DenseAssociativeMemory(3)
    memory.store([[1, 1, -1]], weights=[0.05])
    starts = np.ones((20_000, 3), np.int8)
    found = memory.recall(starts, max_sweeps=12, temperature=1.0, seed=2)
    states = np.array(list(itertools.product([-1, 1], repeat=3)), np.int8)
    share = np.array([(found == s).all(axis=1).mean() for s in states])
    boltzmann = np.exp(-memory.energy(states))
    boltzmann /= boltzmann.sum()
    # Five standard deviations.
    assert (np.abs(share - boltzmann) < 5 * np.sqrt(boltzmann / 20_000)).all()
    assert np.abs(boltzmann - 1 / 8).max() > 0.1


def test_temperature_reaches_the_exponential_at_any_scale():
    for d in (3, 2000):
        memory = am.DenseAssociativeMemory(interaction="exponential")
        memory.store(np.ones((1, d)))
        cue = np.ones(d, np.int8)
        cold = memory.recall(cue, temperature=1e-3, max_sweeps=3)
        assert (cold == 1).all()
    hot = memory.recall(np.ones((1, 3, 2000))[0], temperature=1e300, max_sweeps=1)
    assert (hot == 1).all()  # exp(2000) is far above 1e300
    small = am.DenseAssociativeMemory(interaction="exponential")
    small.store(np.ones((1, 3)))
    warm = small.recall(np.ones((4000, 3)), temperature=1e9, max_sweeps=1)
    assert abs((warm == 1).mean() - 0.5) < 0.03


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("interaction", ["power", "rectified", "exponential"])
def test_values_settle_beside_the_clamped_cue(rng, interaction):
    keys, values = signs(rng, 25, 40), signs(rng, 25, 6)
    memory = am.DenseAssociativeMemory(3, interaction=interaction)
    memory.store(keys, values)
    cues = keys.copy()
    cues[:, :3] *= -1
    joint = am.DenseAssociativeMemory(3, interaction=interaction)
    joint.store(np.hstack([keys, values]))
    starts = np.hstack([cues, np.full((25, 6), -1, np.int8)])
    for update in ("async", "sync"):
        want = joint.recall(starts, update, clamp=np.arange(46) < 40, seed=3, details=True)
        got = memory.recall(cues, update, seed=3, details=True)
        np.testing.assert_array_equal(got.state, want.state[:, 40:])
        np.testing.assert_array_equal(got.energy, want.energy)
        np.testing.assert_array_equal(memory.energy(cues, got.state), got.energy)
        assert (got.state == values).mean() > 0.95
    overlaps = cues.astype(int) @ keys.T
    f = {"power": 3.0 * overlaps**2, "rectified": 3.0 * np.maximum(overlaps, 0) ** 2}
    vote = f.get(interaction, np.exp(overlaps)) @ values
    np.testing.assert_array_equal(memory.recall(cues, "one-step"), np.sign(vote))


def test_weights_project_to_the_one_step_recall(rng):
    keys, values, cues = signs(rng, 30, 31), signs(rng, 30, 4), signs(rng, 7, 31)
    for kind in (
        {"n": 1},
        {"n": 2},
        {"n": 30},
        {"n": 1, "interaction": "rectified"},
        {"n": 3, "interaction": "rectified"},
        {"interaction": "exponential", "beta": 0.1},
    ):
        memory = am.DenseAssociativeMemory(**kind)
        memory.store(keys, values, weights=np.arange(30) % 4)
        share = memory.weights(cues)
        np.testing.assert_allclose(np.abs(share).sum(axis=1), 1.0)
        field = share @ values
        clear = np.abs(field) > 1e-9
        assert clear.any()
        got = memory.recall(cues, "one-step")
        np.testing.assert_array_equal(got[clear], np.sign(field)[clear])


# -- the store ------------------------------------------------------------------------------------


@pytest.mark.parametrize("real", [False, True])
def test_duplicates_are_weights_and_stores_add(rng, real):
    patterns, cues = signs(rng, 12, 30), signs(rng, 9, 30)
    weighted = am.DenseAssociativeMemory(3, real=real)
    ids = weighted.store(patterns, weights=[3] + 11 * [1])
    repeated = am.DenseAssociativeMemory(3, real=real)
    repeated.store(patterns[:5])
    second = am.DenseAssociativeMemory(3, real=real)
    second.store(patterns[5:])
    second.store(np.stack([patterns[0], patterns[0], -patterns[1]]))
    assert repeated.merge(second) is repeated
    repeated.delete(repeated.ids[-1])
    assert len(weighted) == 12 and len(repeated) == 14 and ids.tolist() == list(range(12))
    for update in ("async", "sync", "one-step"):
        np.testing.assert_array_equal(weighted.recall(cues, update), repeated.recall(cues, update))
    np.testing.assert_array_equal(weighted.energy(cues), repeated.energy(cues))
    weighted.delete(ids[3:])
    assert len(weighted) == 3 and weighted.nbytes > 0
    np.testing.assert_array_equal(weighted.recall(patterns[:3]), patterns[:3])
    nothing = am.DenseAssociativeMemory(3, real=real)
    nothing.store(patterns, weights=0)
    found = nothing.recall(cues, details=True)
    np.testing.assert_array_equal(found.state, cues)
    assert (found.undecided == 30).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_answers_come_in_the_kind_of_the_cues(rng, threads):
    patterns, cues = signs(rng, 9, 35), signs(rng, 4, 35)
    memory = am.DenseAssociativeMemory(3)
    memory.store(am.pack(patterns))
    want = memory.recall(cues, threads=threads)
    assert want.dtype == np.int8
    for cue, back in [
        (am.pack(cues), lambda x: x.unpack()),
        (cues > 0, lambda x: np.where(x, 1, -1)),
        ((cues > 0).astype(np.uint8), lambda x: x.astype(int) * 2 - 1),
        (cues.astype(np.float32), lambda x: x),
        (np.asfortranarray(cues), lambda x: x),
        (np.repeat(cues, 2, axis=1)[:, ::2], lambda x: x),
    ]:
        before = cue if isinstance(cue, am.BitMatrix) else cue.copy()
        got = memory.recall(cue, threads=threads)
        assert type(got) is type(cue) and getattr(got, "dtype", None) == getattr(cue, "dtype", None)
        np.testing.assert_array_equal(back(got), want)
        assert cue == before if isinstance(cue, am.BitMatrix) else (cue == before).all()
    one = memory.recall(cues[0], details=True)
    np.testing.assert_array_equal(one.state, want[0])
    assert one.n_iter.shape == () and one.energy == memory.energy(want[0])
    assert memory.recall(cues[:0]).shape == (0, 35)
    assert memory.recall(cues[:0], details=True).energy.shape == (0,)


def test_sync_finds_cycles_of_two():
    memory = am.DenseAssociativeMemory(2)
    memory.store([[1, 1]])
    found = memory.recall([1, -1], "sync", details=True)
    assert found.cycle == 2 and not found.converged
    assert memory.recall([1, -1], "async", details=True).cycle == 1


def test_seeds_repeat_and_differ(rng):
    patterns, cues = signs(rng, 400, 40), signs(rng, 30, 40)
    memory = am.DenseAssociativeMemory(2)
    memory.store(patterns)
    first = memory.recall(cues, seed=1, threads=1)
    np.testing.assert_array_equal(first, memory.recall(cues, seed=1, threads=2))
    assert (first != memory.recall(cues, seed=2)).any()
    np.testing.assert_array_equal(
        memory.recall(cues, seed=1, order="fixed"), memory.recall(cues, seed=2, order="fixed")
    )


def test_bad_input_is_refused_with_its_reason(rng):
    memory = am.DenseAssociativeMemory(3)
    with pytest.raises(ValueError, match="empty"):
        memory.recall(np.ones((1, 3)))
    memory.store(XOR)
    for bad, match in [
        (lambda: memory.recall(np.ones((1, 4))), "cues have 4 bits, the memory stores 3"),
        (lambda: memory.recall([[0, 1, 2]]), "row 0, column 2 is 2"),
        (lambda: memory.recall([[0, 1, -1]]), "mix two codings"),
        (lambda: memory.recall(XOR, "later"), "update must be one of"),
        (lambda: memory.recall(XOR, max_sweeps=0), "max_sweeps"),
        (lambda: memory.recall(XOR, tie=0), "tie must be one of"),
        (lambda: memory.recall(XOR, order="back"), "order must be one of"),
        (lambda: memory.recall(XOR, temperature=-1.0), "temperature"),
        (lambda: memory.recall(XOR, clamp=np.ones(2, bool)), "clamp must have shape"),
        (lambda: memory.recall(XOR, seed=2**64), "seed"),
        (lambda: memory.store(np.ones((1, 4))), "keys have 4 bits, the memory stores 3"),
        (lambda: memory.store(XOR, XOR), "no values beside"),
        (lambda: memory.store(XOR, weights=[1, 1, 1, -1]), "weights"),
        (lambda: memory.delete(77), "no item has the id 77"),
        (lambda: memory.merge(am.DenseAssociativeMemory(4)), "differ in their parameters"),
        (lambda: memory.recall(XOR, "one-step", max_sweeps=0), "max_sweeps"),
        (lambda: memory.recall(XOR, max_sweeps=10**400), "max_sweeps"),
        (lambda: memory.recall(XOR, temperature=10**400), "temperature"),
        (lambda: am.DenseAssociativeMemory(10**400), "n must be"),
        (lambda: am.DenseAssociativeMemory(beta=10**400), "beta"),
        (lambda: am.DenseAssociativeMemory(bias=10**400), "bias"),
        (lambda: memory.store(XOR, weights=10**400), "weights"),
        (lambda: memory.energy(XOR, XOR), "has no values"),
        (lambda: am.DenseAssociativeMemory(0), "n must be"),
        (lambda: am.DenseAssociativeMemory(interaction="cubic"), "interaction must be one of"),
        (lambda: am.DenseAssociativeMemory(interaction="exponential", beta=0), "beta"),
        (lambda: am.DenseAssociativeMemory(interaction="exponential", bias=1), "bias"),
        (lambda: am.DenseAssociativeMemory(bias=[1.0, 2.0]).store(XOR), "bias has 2 entries"),
        (lambda: am.DenseAssociativeMemory(real=True).store([[np.nan, 1.0]]), "NaN"),
    ]:
        with pytest.raises(ValueError, match=match):
            bad()
    with pytest.raises(TypeError, match="clamp must be bool"):
        memory.recall(XOR, clamp=[1, 0, 1])
    with pytest.raises(TypeError, match="n must be"):
        am.DenseAssociativeMemory(2.5)
    hetero = am.DenseAssociativeMemory(3)
    hetero.store(XOR[:, :2], XOR[:, 2:])
    with pytest.raises(ValueError, match="clamp"):
        hetero.recall(XOR[:, :2], clamp=[True, False])
    with pytest.raises(ValueError, match="has values"):
        hetero.energy(XOR[:, :2])
    assert len(memory) == 4


def test_repr_says_what_it_is():
    memory = am.DenseAssociativeMemory(4, interaction="rectified")
    assert repr(memory) == "<DenseAssociativeMemory(interaction='rectified', n=4): empty>"
    memory.store(XOR[:, :2], XOR[:, 2:])
    assert repr(memory).endswith("4 patterns of 2 units -> 1>")
    assert "beta=0.5" in repr(am.DenseAssociativeMemory(interaction="exponential", beta=0.5))


@pytest.mark.parametrize("interaction", ["power", "rectified"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_one_synchronous_sweep_of_values_is_the_sign_of_their_field(rng, interaction, n):
    tied = 0
    for _ in range(20):
        x, v = (rng.choice([-1, 1], (6, width)).astype(np.int8) for width in (8, 3))
        cues = rng.choice([-1, 1], (8, 8)).astype(np.int8)
        m = am.DenseAssociativeMemory(n, interaction=interaction)
        m.store(x, v)
        off = cues.astype(np.int64) @ x.T - v.sum(axis=1)
        on = off[:, None, :] + 2 * v.T
        if interaction == "rectified":
            on, off = np.maximum(on, 0), np.maximum(off, 0)
        field = (on**n - off[:, None, :] ** n).sum(axis=2)
        got = m.recall(cues, "sync", 1, details=True)
        np.testing.assert_array_equal(got.state, np.sign(field))
        np.testing.assert_array_equal(m.recall(cues, "sync", 1), got.state)
        open_rows = got.cycle == 0
        np.testing.assert_array_equal(got.undecided_units[open_rows], (field == 0)[open_rows])
        tied += int((field == 0).any(axis=1)[open_rows].sum())
    assert tied > 0 or n == 1


def test_a_slope_beyond_floats_is_refused():
    m = am.DenseAssociativeMemory(interaction="exponential", beta=1e308)
    with pytest.raises(ValueError, match="beta=1e\\+308 is too large for 4 units"):
        m.store([[1, -1, 1, 1]])
    assert (m.interaction, m.n, m.beta, len(m)) == ("exponential", 3, 1e308, 0)


# -- the edges of floats --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{"n": 1}, {"n": 3}, {"interaction": "exponential"}])
@pytest.mark.parametrize("real", [False, True])
def test_energies_beyond_floats_are_refused_by_name(rng, kind, real):
    x = signs(rng, 3, 8)
    for weights in (1e308, [1e308, 1e308, 1e308], [0, 1e307, 0]):
        memory = am.DenseAssociativeMemory(real=real, **kind)
        with pytest.raises(ValueError, match="weights sum to"):
            memory.store(x, weights=weights)
        with pytest.raises(ValueError, match="weights sum to"):
            memory.store(x[:, :1], weights=weights)
        assert len(memory) == 0
    if "interaction" in kind:
        return
    for bias in (1e308, np.full(8, 1e308), np.r_[1e307, -1e307, np.zeros(6)]):
        memory = am.DenseAssociativeMemory(real=real, bias=bias, **kind)
        with pytest.raises(ValueError, match="bias: its magnitudes sum to"):
            memory.store(x)
    memory = am.DenseAssociativeMemory(real=real, bias=1e305, **kind)
    memory.store(x, weights=1e302)
    found = memory.recall(x, details=True)
    assert np.isfinite(found.energy_trace).all()
    np.testing.assert_array_equal(found.state, 1)


def test_what_is_stored_counts_where_energies_would_leave_floats(rng):
    x = signs(rng, 2, 1000)
    memory = am.DenseAssociativeMemory(100)  # 1000^100 is 1e300, and float64 ends at 1.8e308
    memory.store(x, weights=[1e6, 1e6])
    other = am.DenseAssociativeMemory(100)
    other.store(x, weights=1e6)
    for more in (lambda: memory.store(x[:1], weights=2e6), lambda: memory.merge(other)):
        with pytest.raises(ValueError, match="n=100 is too large for 1000 units"):
            more()
    assert len(memory) == 2
    am.DenseAssociativeMemory(100).merge(other).store(x[:1])


def test_patterns_beyond_floats_are_refused(rng):
    for scale in (1e308, 1e120):
        with pytest.raises(ValueError, match="n=3 is too large for patterns of absolute sum"):
            am.DenseAssociativeMemory(3, real=True).store(np.full((1, 9), scale))
    tiny = am.DenseAssociativeMemory(30, real=True)
    tiny.store(np.full((2, 3), 1e-12), np.full((2, 2), 1e-12))
    for update in ("async", "one-step"):
        with pytest.raises(ValueError, match="n=30 is out of range for patterns of absolute sum"):
            tiny.recall(np.ones((1, 3)), update)
    assert tiny.nbytes > 0


# -- what was given, and what was derived ---------------------------------------------------------


@pytest.mark.parametrize("real", [False, True])
def test_energies_of_values_have_their_bias(rng, real):
    keys, values, cues = signs(rng, 9, 12), signs(rng, 9, 4), signs(rng, 5, 12)
    answers, bias = signs(rng, 5, 4), rng.normal(size=4)
    memory = am.DenseAssociativeMemory(3, bias=bias, real=real)
    memory.store(keys, values, weights=np.arange(9))
    overlaps = np.hstack([cues, answers]).astype(int) @ np.hstack([keys, values]).T
    energy = -(np.arange(9) * overlaps**3.0).sum(axis=1) - answers @ bias
    np.testing.assert_allclose(memory.energy(cues, answers), energy, rtol=1e-12)
    assert memory.energy(cues[0], answers[0]) == memory.energy(cues, answers)[0]
    with pytest.raises(ValueError, match="values have 4 rows, states have 5"):
        memory.energy(cues, answers[:4])
    with pytest.raises(ValueError, match="values have 3 bits, the memory stores 4"):
        memory.energy(cues, answers[:, :3])
    with pytest.raises(ValueError, match="one-step recall of values has no bias"):
        memory.recall(cues, "one-step")
    found = memory.recall(cues, details=True)
    np.testing.assert_allclose(found.energy, memory.energy(cues, found.state), rtol=1e-12)


def test_what_is_stored_is_shown_as_it_was_given(rng):
    keys, values = signs(rng, 5, 9), signs(rng, 5, 3)
    for real in (False, True):
        memory = am.DenseAssociativeMemory(3, real=real, bias=np.arange(3.0))
        for name in ("keys", "values"):
            with pytest.raises(ValueError, match="empty"):
                getattr(memory, name)
        ids = memory.store(keys, values, weights=2)
        assert memory.keys == am.pack(keys) if not real else (memory.keys == keys).all()
        assert memory.values == am.pack(values) if not real else (memory.values == values).all()
        assert memory.ids.tolist() == ids.tolist() == [0, 1, 2, 3, 4]
        assert (memory.interaction, memory.n, memory.beta) == ("power", 3, 1.0)
        text = f"<DenseAssociativeMemory(n=3, bias=...{', real=True' * real}): 5 patterns of 9 "
        assert repr(memory) == text + "units -> 3>"
        small = memory.nbytes
        for twin in (copy.copy(memory), pickle.loads(pickle.dumps(memory))):
            twin.delete([0, 1])
            assert (len(twin), len(memory)) == (3, 5)
            np.testing.assert_array_equal(twin.recall(keys[2:]), memory.recall(keys[2:]))
        assert memory.nbytes > small  # keys and values side by side
    assert "bias=0.5" in repr(am.DenseAssociativeMemory(bias=0.5))


def test_a_cue_of_ones_is_read_as_what_was_stored_first():
    for given, code in (([[0, 1, 1, 0]], 0), ([[-1, 1, 1, -1]], -1)):
        memory = am.DenseAssociativeMemory(2, bias=-99.0)
        memory.store(am.pack(np.array(given) > 0))
        memory.store(given)
        memory.store([[0, 1, 1, 1]])
        memory.store([[-1, 1, 1, 1]])
        assert memory.recall(np.ones(4)).tolist() == [code] * 4


def test_what_the_interaction_ignores_may_differ_in_a_merge(rng):
    x = signs(rng, 3, 8)
    power = [am.DenseAssociativeMemory(3, beta=beta) for beta in (1.0, 2.0)]
    steep = [am.DenseAssociativeMemory(n, interaction="exponential") for n in (2, 3)]
    for mine, theirs in (power, steep):
        theirs.store(x)
        assert len(mine.merge(theirs)) == 3
    for other in (
        am.DenseAssociativeMemory(3, bias=1.0),
        am.DenseAssociativeMemory(3, real=True),
        am.DenseAssociativeMemory(3, interaction="rectified"),
    ):
        with pytest.raises(ValueError, match="differ in their parameters"):
            power[0].merge(other)


@pytest.mark.parametrize("real", [False, True])
def test_merging_other_widths_is_refused(rng, real):
    def made(width, values=None):
        memory = am.DenseAssociativeMemory(3, real=real)
        memory.store(signs(rng, 4, width), None if values is None else signs(rng, 4, values))
        return memory

    for mine, theirs in (
        (made(8), made(9)),
        (made(8), made(8, 2)),
        (made(8, 2), made(8)),
        (made(8, 2), made(8, 1)),
        (made(8, 1), made(8, 2)),
    ):
        with pytest.raises(ValueError, match="memories differ in their widths"):
            mine.merge(theirs)
        assert len(mine) == 4
    wide = am.DenseAssociativeMemory(3, real=real, bias=[1.0, 2.0])
    other = am.DenseAssociativeMemory(3, real=real, bias=[1.0, 2.0])
    other.store(signs(rng, 4, 5), signs(rng, 4, 2))
    assert len(wide.merge(other)) == 4


def test_labels_in_one_dimension_are_told_how_to_become_values(rng):
    x = signs(rng, 5, 8)
    for real in (False, True):
        memory = am.DenseAssociativeMemory(3, real=real)
        with pytest.raises(ValueError, match=r"values\[:, None\]"):
            memory.store(x, x[:, 0])
        memory.store(x, x[:, 0][:, None])
        assert memory.recall(x).shape == (5, 1)


@pytest.mark.parametrize("kind", [{}, {"interaction": "exponential"}, {"real": True}])
def test_a_cue_recalls_alike_wherever_it_stands(kind):
    rng = np.random.default_rng(0)
    x, s = signs(rng, 60, 30), signs(rng, 20, 30)
    memory = am.DenseAssociativeMemory(2, beta=0.1, **kind)
    memory.store(x)
    eight = memory.recall(np.repeat(s, 8, axis=0), seed=4).reshape(20, 8, 30)
    together = memory.recall(s, seed=4)
    assert (eight == together[:, None]).all()
    assert (memory.recall(s, seed=5) != together).any()
    np.testing.assert_array_equal(memory.recall(s[::-1], seed=4)[::-1], together)
    hot = {"max_sweeps": 3, "temperature": 200.0, "seed": 4}
    warm = memory.recall(s, **hot)
    for k in range(20):
        np.testing.assert_array_equal(memory.recall(s[k], seed=4), together[k])
        np.testing.assert_array_equal(memory.recall(s[k], **hot), warm[k])
    copies = memory.recall(np.repeat(s[:1], 8, axis=0), **hot)
    assert len({row.tobytes() for row in copies}) > 1


def test_one_step_energies_of_real_patterns(rng):
    x, s = rng.normal(size=(9, 14)), signs(rng, 6, 14)
    memory = am.DenseAssociativeMemory(3, real=True)
    memory.store(x)
    for tie in ("keep", 1):
        found = memory.recall(s, "one-step", tie=tie, details=True)
        np.testing.assert_array_equal(found.energy_trace[:, 0], memory.energy(s))
        np.testing.assert_array_equal(found.energy, memory.energy(found.state))
        np.testing.assert_array_equal(found.state, memory.recall(s, "one-step", tie=tie))
    for wrong in ({"temperature": 1.0},):
        with pytest.raises(ValueError, match="no bias and no temperature"):
            memory.recall(s, "one-step", **wrong)


@pytest.mark.parametrize("hetero", [False, True])
def test_columns_of_real_patterns_are_those_of_a_plain_loop(rng, hetero):
    for scale in (1e-3, 1.0, 2.0**9):
        keys, values = rng.normal(size=(300, 70)) * scale, rng.normal(size=(300, 5)) * scale
        memory = am.DenseAssociativeMemory(3, real=True)
        memory.store(keys, values if hetero else None)
        rows = np.hstack([keys, values]) if hetero else keys
        sums = [float(sum(abs(x) for x in row)) for row in rows.tolist()]
        exponent = math.frexp(max(sums))[1]
        columns, unit = memory._fields(memory._stored())._columns()
        np.testing.assert_array_equal(columns, np.ldexp(rows.T, -exponent))
        assert columns.flags.c_contiguous and unit == 2.0 ** (3 * exponent)
