"""Sparse constraints learned from patterns alone, and entries other than 1."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast import reference
from amfast.memories.recovery.sparse import most_entries, sparsest


def planted(n: int, m: int, degree: int, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sparse constraints, largest entry 1, and an orthonormal basis of the patterns."""
    rng = np.random.default_rng(seed)
    a = am.expander(n, m, degree=degree, seed=seed).astype(np.float64)
    if kind == "signs":
        a *= rng.choice([-1.0, 1.0], a.shape)
    elif kind == "reals":
        a *= rng.choice([-1.0, 1.0], a.shape) * rng.uniform(0.5, 2.0, a.shape)
    rank = np.linalg.matrix_rank(a)
    return a, np.linalg.svd(a)[2][rank:]


def drawn(basis: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, len(basis))) @ basis


def corrupted(x: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y = x.copy()
    for row in y:
        row[rng.choice(len(row), k, replace=False)] += 10 * rng.normal(size=k)
    return y


def scaled(a: np.ndarray) -> set[tuple[float, ...]]:
    """Rows, whatever their order, sign and scale."""
    top = a[np.arange(len(a)), np.abs(a).argmax(axis=1)]
    return {tuple(np.round(row, 5) + 0.0) for row in a / top[:, None]}


def learned(samples: np.ndarray, **options: float) -> am.SparseRecoveryMemory:
    memory = am.SparseRecoveryMemory("expander", constraints="learned", **options)
    memory.store(samples)
    return memory


@pytest.mark.parametrize(
    ("n", "m", "degree", "kind", "seed"),
    [
        (60, 15, 3, "ones", 3),
        (60, 15, 3, "signs", 1),
        (100, 25, 3, "ones", 2),
        (100, 25, 4, "ones", 1),
        (100, 25, 4, "signs", 1),
        (100, 25, 4, "reals", 1),
        (100, 40, 4, "reals", 3),
    ],
)
def test_planted_constraints_are_found(n, m, degree, kind, seed) -> None:
    a, basis = planted(n, m, degree, kind, seed)
    memory = learned(drawn(basis, n))
    found = memory.sparse_constraints
    assert found.shape == (m, n) and not found.flags.writeable
    assert np.abs(found @ basis.T).max() < 1e-9
    assert np.linalg.matrix_rank(found) == m == n - memory.rank
    # As sparse as those that were planted, and nearly all the very same.
    assert np.count_nonzero(found) <= np.count_nonzero(a)
    assert len(scaled(found) & scaled(a)) >= 0.9 * m
    if kind != "reals":
        assert set(np.unique(found)) <= {-1.0, 0.0, 1.0}


@pytest.fixture(scope="module")
def hundred():
    a, basis = planted(100, 25, 4, "signs", 1)
    return a, basis, learned(drawn(basis, 90))


def test_they_correct_as_given_ones_do(hundred) -> None:
    a, basis, memory = hundred
    given = am.SparseRecoveryMemory("expander", constraints=a)
    x = drawn(basis, 60, 1)
    y = corrupted(x, 3)
    ours, theirs = (some.recall(y, details=True) for some in (memory, given))
    np.testing.assert_array_equal(ours.fallback, theirs.fallback)
    np.testing.assert_array_equal(ours.certified, theirs.certified)
    right = np.abs(ours.state - x).max(axis=1) < 1e-8
    np.testing.assert_array_equal(right, np.abs(theirs.state - x).max(axis=1) < 1e-8)
    assert right.mean() > 0.8 and ours.certified.mean() > 0.7
    np.testing.assert_array_equal(memory.recall(y[3]), ours.state[3])
    np.testing.assert_allclose(memory.project(x[0]), x[0], atol=1e-9)


def test_they_are_kept_in_files_and_learned_anew(hundred, tmp_path) -> None:
    _, basis, memory = hundred
    memory.save(tmp_path / "m")
    again = am.load(tmp_path / "m")
    np.testing.assert_array_equal(again.sparse_constraints, memory.sparse_constraints)
    fresh = learned(drawn(basis, 90))
    fresh.save(tmp_path / "f")  # before anything was asked of it
    np.testing.assert_array_equal(
        am.load(tmp_path / "f").sparse_constraints, memory.sparse_constraints
    )
    # What was learned holds for the samples at hand only.
    free = np.vstack([basis, np.random.default_rng(5).normal(size=100)])
    again.store(drawn(free, 20))
    with pytest.raises(ValueError, match="not sparse"):
        again.sparse_constraints  # noqa: B018
    assert again.rank == 76


def test_forged_files_are_refused(hundred) -> None:
    _, _, memory = hundred
    memory.sparse_constraints  # noqa: B018
    arrays, meta = memory._store.arrays()
    fresh = am.SparseRecoveryMemory("expander", constraints="learned")
    fresh._store.restore(arrays, meta)
    np.testing.assert_array_equal(fresh.sparse_constraints, memory.sparse_constraints)
    entries = arrays["entries"]
    for forged, message in (
        (arrays | {"entries": entries[1:]}, "entries are not 400 finite numbers"),
        (arrays | {"entries": np.where(entries == 1, np.nan, entries)}, "400 finite numbers"),
        (arrays | {"entries": entries * 0}, "finite numbers other than 0"),
        (arrays | {"starts": arrays["starts"][:-1]}, "no sparse matrix of 25 rows"),
        (arrays | {"starts": np.array([0, 400])}, "no sparse constraints on 100 columns"),
    ):
        with pytest.raises(ValueError, match=message):
            fresh._store.restore(forged, meta)
    with pytest.raises(ValueError, match="no sparse constraints on 100 columns were learned"):
        am.SparseRecoveryMemory("bregman")._store.restore(arrays, meta)


def test_given_back_they_need_no_samples(hundred) -> None:
    _, basis, memory = hundred
    given = am.SparseRecoveryMemory("expander", constraints=memory.sparse_constraints)
    y = corrupted(drawn(basis, 5, 2), 2)
    np.testing.assert_array_equal(given.recall(y), memory.recall(y))


def test_noisy_samples() -> None:
    a, basis = planted(60, 15, 3, "ones", 3)
    samples = drawn(basis, 4000)
    samples += 1e-4 * np.random.default_rng(1).normal(size=samples.shape)
    memory = learned(samples, rank_tol=1e-2, tol=1e-2)
    assert scaled(np.round(memory.sparse_constraints)) == scaled(a)


def test_what_has_no_sparse_null_space() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(60, 30)) @ rng.normal(size=(30, 40))
    with pytest.raises(
        ValueError,
        match="null space of the 60 samples is not sparse: 10 constraints of at most 20 of 40 "
        "entries were expected, 0 were found",
    ):
        learned(samples).recall(samples[0])
    # All but the coordinates that nothing constrains.
    a, basis = planted(60, 15, 3, "ones", 0)
    wide = np.hstack([drawn(basis, 90), rng.normal(size=(90, 1))])
    with pytest.raises(ValueError, match="no constraint that the 90 samples obey .* column 60"):
        learned(wide).recall(wide[0])


def test_training_sets_that_are_too_small() -> None:
    _, basis = planted(60, 15, 3, "ones", 0)
    empty = am.SparseRecoveryMemory("expander", constraints="learned")
    for call in (lambda: empty.recall(np.ones(60)), lambda: empty.sparse_constraints):
        with pytest.raises(ValueError, match="the memory is empty"):
            call()
    few = learned(drawn(basis, 45))
    with pytest.raises(ValueError, match="rank is still growing: 45 samples span 45"):
        few.recall(np.ones(60))
    few.store(drawn(basis, 5, 1))
    assert few.rank == 45 and len(few.sparse_constraints) == 15
    with pytest.raises(ValueError, match="cues have 59 columns, the memory has 60"):
        few.recall(np.ones(59))
    with pytest.raises(ValueError, match="samples have 61 columns"):
        few.store(np.ones((2, 61)))
    with pytest.raises(ValueError, match="NaN"):
        few.recall(np.full(60, np.nan))


def test_bad_arguments() -> None:
    new = am.SparseRecoveryMemory
    with pytest.raises(ValueError, match="constraints must be one of 'learned'"):
        new("expander", constraints="lerned")
    with pytest.raises(ValueError, match="'irls' learns dense ones if none are given"):
        new("irls", constraints="learned")
    with pytest.raises(ValueError, match="or 'learned' where samples have a sparse null space"):
        new("expander")
    with pytest.raises(ValueError, match="decoder='bregman' has dense constraints only"):
        new("bregman", constraints=np.eye(3)[:2]).sparse_constraints  # noqa: B018
    dense = np.random.default_rng(0).normal(size=(10, 20))
    with pytest.raises(ValueError, match="at most half of them nonzero; got 200 of 10 x 20"):
        new("expander", constraints=dense)
    with pytest.raises(ValueError, match="constraints have a NaN"):
        new("expander", constraints=np.diag([1.0, np.nan, 1.0, 1.0]))
    assert new("expander", constraints="learned", rank=3).store(np.ones((2, 5))).tolist() == [0, 1]


def test_they_merge() -> None:
    _, basis = planted(60, 15, 3, "ones", 0)
    whole, first, second = (
        learned(samples)
        for samples in (drawn(basis, 90), drawn(basis, 90)[:40], drawn(basis, 90)[40:])
    )
    assert first.merge(second) is first
    assert scaled(first.sparse_constraints) == scaled(whole.sparse_constraints)


@pytest.mark.parametrize("threads", [1, 2])
def test_peeling_by_entries_is_the_twin_bit_for_bit(threads) -> None:
    a, _ = planted(100, 50, 6, "reals", 0)
    memory = am.SparseRecoveryMemory("expander", constraints=a, fallback=False)
    y = corrupted(np.zeros((20, 100)), 4)
    found = memory.recall(y, details=True, threads=threads)
    for error, cue in zip(found.error, y, strict=True):
        expected, _ = reference.peel(cue, a, memory.tol * np.abs(cue).max())
        np.testing.assert_allclose(error, expected, rtol=0, atol=1e-12)
    # Without the entries' scale the errors would be others.
    assert (np.abs(found.error - y).max(axis=1) < 1e-9).mean() > 0.8


def test_least_errors_by_entries() -> None:
    a, basis = planted(100, 50, 6, "reals", 0)
    memory = am.SparseRecoveryMemory("expander", constraints=a)
    x = drawn(basis, 20)
    found = memory.recall(corrupted(x, 8), details=True)
    np.testing.assert_allclose(found.state, x, atol=1e-7)
    assert found.fallback.any()


def test_the_basis_is_the_lightest() -> None:
    # Sums of two disjoint rows are in the space as well: none is taken.
    a = np.kron(np.eye(6), np.ones((1, 4)))
    mixed = np.linalg.qr((np.random.default_rng(0).normal(size=(6, 6)) @ a).T)[0].T
    found = sparsest(np.ascontiguousarray(mixed), 1e-6, 1)
    assert scaled(found) == scaled(a)
    assert [most_entries(24, m) for m in (6, 20, 22, 23)] == [12, 4, 3, 3]


@pytest.mark.parametrize(
    "samples",
    [
        np.repeat(np.arange(1, 161).reshape(16, 10) ** 2 % 97, 4, axis=1),
        np.ones((5, 50)) * np.arange(1.0, 6.0)[:, None],
        np.ones((3, 10), np.float32) * np.arange(1.0, 4.0, dtype=np.float32)[:, None],
    ],
)
def test_entries_that_are_equal(samples) -> None:
    memory = learned(samples)
    found = memory.sparse_constraints
    assert (np.count_nonzero(found, axis=1) == 2).all() and (found.sum(axis=1) == 0).all()
    y = samples[:3].astype(np.float64)
    y[[0, 1, 2], [0, 1, 9]] += 30.0
    np.testing.assert_allclose(memory.recall(y), samples[:3], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-120, 1e140])
def test_scale_of_samples_does_not_matter(hundred, scale) -> None:
    _, basis, memory = hundred
    found = learned(drawn(basis, 90) * scale).sparse_constraints
    assert scaled(found) == scaled(memory.sparse_constraints)


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e-6, 1.0, 3.0, 1e9, 1e300])
def test_constraints_hold_at_any_scale(rng, scale) -> None:
    a = am.expander(60, 30, degree=4, seed=3) * rng.uniform(0.5, 2, (30, 60))
    a *= scale * np.logspace(-3, 3, 30)[:, None] ** (0.5 < scale < 2)
    memory = am.SparseRecoveryMemory("expander", constraints=a)
    x = memory.project(rng.normal(size=60))
    assert np.abs(a / scale @ x).max() < 1e-9
    memory.store(x)
    spoilt = x.copy()
    spoilt[[3, 40]] += [5, -2]
    found = memory.recall(spoilt, details=True)
    assert found.certified and found.n_errors == 2
    np.testing.assert_allclose(found.state, x, atol=1e-12)
    with pytest.raises(ValueError, match="breaks the constraints"):
        memory.store(spoilt)


@pytest.mark.parametrize("power", [-200, -160, 160, 200])
def test_projections_have_the_scale_of_patterns(rng, power) -> None:
    memory = am.SparseRecoveryMemory("expander", constraints=am.expander(60, 30, seed=3))
    x = rng.normal(size=60)
    want = memory.project(x)
    np.testing.assert_allclose(memory.project(x * 10.0**power) / 10.0**power, want, atol=1e-12)


@pytest.mark.parametrize("rank_tol", [1e-6, 1e-3, 1e-2])
def test_learned_entries_that_are_nearly_one_stay_what_samples_say(rank_tol) -> None:
    rng = np.random.default_rng(0)
    true = am.expander(60, 20, degree=3, seed=1) * (1 + 0.004 * rng.uniform(-1, 1, (20, 60)))
    samples = am.SparseRecoveryMemory("expander", constraints=true).project(
        rng.normal(size=(200, 60))
    )
    memory = am.SparseRecoveryMemory("expander", constraints="learned", rank_tol=rank_tol)
    memory.store(samples)
    assert np.abs(samples @ memory.sparse_constraints.T).max() < 1e-9
    found = memory.recall(samples, details=True)
    assert not found.n_errors.any()


def test_learned_constraints_that_are_dense_are_told_as_learned(rng) -> None:
    x = rng.normal(size=(40, 1))
    memory = am.SparseRecoveryMemory("expander", constraints="learned")
    memory.store(np.hstack([x, x]))
    with pytest.raises(ValueError, match="null space of the 40 samples is not sparse"):
        memory.recall([1.0, 2.0])


def test_learned_constraints_follow_the_tolerance(rng, tmp_path) -> None:
    """A file held those of another rank, and was refused."""
    x = rng.normal(size=(60, 2)) * [1.0, 1e-4]
    memory = am.SparseRecoveryMemory("expander", constraints="learned")
    memory.store(np.repeat(x, 6, axis=1))
    assert memory.sparse_constraints.shape == (10, 12)
    memory.rank_tol = 0.01
    again = am.load(memory.save(tmp_path / "m"))
    for same in (memory, again):
        assert same.rank == 1 and same.sparse_constraints.shape == (11, 12)
