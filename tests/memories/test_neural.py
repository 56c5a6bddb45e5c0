"""Neurons in continuous time: equations, energies that fall, fixed points, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import amfast as am
from amfast.memories.neural import forces

SIMILARITIES = (
    *("dot", "sqeuclidean", "euclidean", "cosine", "manhattan"),
    *("kl", "reverse_kl", "jensenshannon"),
)
SEPARATIONS = {
    "identity": am.Identity(),
    "cube": am.Polynomial(3),
    "rectified": am.Polynomial(2, rectified=True),
    "softmax": am.Softmax(2.0),
    "exponential": am.Exponential(0.5),
    "top 3": am.TopK(3, 2.0),
    "sparsemax": am.Sparsemax(2.0),
    "entmax": am.Entmax(1.5, 2.0),
}


def chebyshev(cues: np.ndarray, keys: np.ndarray) -> np.ndarray:
    return np.abs(cues[:, None] - keys).max(axis=2)


def chebyshev_slopes(cues: np.ndarray, keys: np.ndarray) -> np.ndarray:
    apart = cues[:, None] - keys
    far = np.abs(apart).argmax(axis=2)
    return np.sign(apart) * (np.arange(keys.shape[1]) == far[:, :, None])


FAR = am.Similarity(chebyshev, larger_is_better=False, gradient=chebyshev_slopes)


def filled(rng, *args, n=6, d=10, weights=None, **kwargs) -> am.NeuralDynamics:
    memory = am.NeuralDynamics(*args, **kwargs)
    memory.store(rng.random((n, d)), weights=weights)
    return memory


# -- equations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEPARATIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_curvatures_are_the_slopes_of_the_weights(rng, name, weighted):
    part = SEPARATIONS[name]
    h, x = rng.normal(size=(20, 6)), rng.normal(size=(20, 6))
    b = None
    if weighted and name != "top 3":
        b = np.array([0.0, -np.inf, 0.5, -0.5, 0.0, 0.2])
    e = 1e-6
    slope = (part.activations(h + e * x, b) - part.activations(h - e * x, b)) / (2 * e)
    a = part.curvature(h, b)
    want = a * x
    if part.sums_to_one:
        want -= a * (want.sum(axis=1) / a.sum(axis=1))[:, None]
    # A few of the rows step over a kink.
    wrong = (np.abs(slope - want) > 1e-5 * (1 + np.abs(want))).any(axis=1)
    assert wrong.sum() <= 1


@pytest.mark.parametrize("part", [am.Log(), am.Sqrt(), am.Polynomial(0.5), am.Polynomial(2.5)])
def test_curvatures_of_scores_that_are_not_negative(rng, part):
    h, e = rng.random((5, 4)) + 0.5, 1e-6
    slope = (part.activations(h + e, None) - part.activations(h - e, None)) / (2 * e)
    np.testing.assert_allclose(part.curvature(h, None), slope, rtol=1e-6)
    assert np.isfinite(part.curvature(np.zeros((1, 2)), None)).all()


def test_curvatures_of_choices_are_zero():
    for part in (am.Max(), am.TopK(2), am.Threshold(0.5)):
        assert not part.curvature(np.ones((2, 3)), None).any()
    with pytest.raises(ValueError, match="no potential"):
        am.Separation(np.tanh).curvature(np.ones((1, 2)), None)


@pytest.mark.parametrize("visible", ["identity", "l2"])
@pytest.mark.parametrize("similarity", [*SIMILARITIES, FAR], ids=str)
def test_the_field_is_minus_the_slope_of_the_energy(rng, similarity, visible):
    """Equation 2 against differences of equation 3; v's through the slope of g."""
    memory = filled(rng, similarity, "cube", visible=visible, tau_v=2.0, tau_h=0.5)
    v, h, inputs = rng.random(10) + 0.1, rng.normal(size=6), rng.normal(size=10)
    dv, dh = memory.field(v, h, inputs=inputs)
    e = 1e-6

    def slopes(x, energy):
        return np.array([energy(x + s) - energy(x - s) for s in np.eye(len(x)) * e]) / (2 * e)

    by_v = slopes(v, lambda x: memory.energy(x, h, inputs=inputs))
    by_h = slopes(h, lambda x: memory.energy(v, x, inputs=inputs))
    force = 2.0 * dv
    if visible == "l2":
        g = v / np.linalg.norm(v)
        force = (force - g * (g @ force)) / np.linalg.norm(v)
    np.testing.assert_allclose(by_v, -force, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_h, -0.5 * dh, rtol=1e-5, atol=1e-6)


def test_hidden_neurons_move_locally_or_through_the_slope(rng):
    keys = rng.random((6, 10))
    v, h = rng.random(10), rng.normal(size=6)
    for local in (False, True):
        memory = am.NeuralDynamics("dot", am.Softmax(3.0), local=local, tau_h=0.2)
        memory.store(keys)
        _, dh = memory.field(v, h)
        f = np.exp(3.0 * h) / np.exp(3.0 * h).sum()
        slope = np.eye(6) if local else 3.0 * (np.diag(f) - np.outer(f, f))
        np.testing.assert_allclose(dh, slope @ (keys @ v - h) / 0.2, rtol=1e-10, atol=1e-12)
        assert not memory.field(v)[1].any(), "at rest"


@pytest.mark.parametrize("visible", ["identity", "sign", "l2"])
def test_at_rest_the_energy_is_that_of_recall(rng, visible):
    keys = rng.normal(size=(6, 10))
    neurons = am.NeuralDynamics("dot", beta=2.0, visible=visible)
    recall = am.UniversalHopfield("dot", beta=2.0, readout=visible)
    v = rng.normal(size=(5, 10))
    g = {"identity": v, "sign": np.sign(v), "l2": v / np.linalg.norm(v, axis=1, keepdims=True)}
    for memory in (neurons, recall):
        memory.store(keys, weights=np.arange(1.0, 7.0))
    np.testing.assert_allclose(neurons.energy(v), recall.energy(g[visible]), rtol=1e-12)
    np.testing.assert_allclose(neurons.weights(v), recall.weights(g[visible]), rtol=1e-12)
    np.testing.assert_allclose(neurons.scores(v), recall.scores(g[visible]), rtol=1e-12)


def test_one_euler_step_under_dot_is_recall(rng):
    keys, v = rng.normal(size=(6, 10)), rng.normal(size=(5, 10))
    neurons, recall = am.NeuralDynamics(beta=2.0), am.UniversalHopfield(beta=2.0)
    neurons.store(keys)
    recall.store(keys)
    np.testing.assert_allclose(v + neurons.field(v)[0], recall.recall(v), rtol=1e-10, atol=1e-12)


def test_the_path_is_the_solution(rng):
    """Against many small Euler steps of equation 2, and closer with more steps."""
    memory = filled(rng, "sqeuclidean", beta=3.0, tau_v=1.0, tau_h=0.5)
    v, inputs = rng.random(10), 0.1 * rng.normal(size=10)
    h = memory.scores(v)
    here, n = v.copy(), 4000
    for _ in range(n):
        dv, dh = memory.field(here, h, inputs=inputs)
        here, h = here + dv / n, h + dh / n
    apart = []
    for steps in (10, 40, 160):
        path = memory.run(v, 1.0, inputs, n_steps=steps)
        apart.append(np.abs(path.visible[-1] - here).max())
        assert path.time[0] == 0 and path.time[-1] == 1.0 and len(path.time) == steps + 1
    assert apart[2] < apart[1] < apart[0] and apart[2] < 2e-3
    np.testing.assert_allclose(path.hidden, h, atol=5e-3)
    np.testing.assert_allclose(
        path.energy[-1], memory.energy(path.visible[-1], path.hidden, inputs=inputs)
    )


# -- energies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("separation", ["identity", "softmax", "exponential"])
@pytest.mark.parametrize(
    "similarity", ["dot", "sqeuclidean", "euclidean", "cosine", "kl", "manhattan"]
)
def test_the_energy_never_rises(rng, similarity, separation):
    memory = filled(rng, similarity, separation)
    path = memory.run(rng.random((8, 10)), t=3.0, n_steps=60)
    assert path.energy.shape == (8, 61) and path.visible.shape == (8, 61, 10)
    assert not path.rises.any() and np.isfinite(path.visible).all()
    scale = np.abs(path.energy).max(axis=1, keepdims=True) + 1.0
    assert (np.diff(path.energy, axis=1) <= 1e-9 * scale).all()
    assert (path.energy[:, -1] < path.energy[:, 0]).all(), "it falls"


@pytest.mark.parametrize("visible", ["sign", "l2"])
@pytest.mark.parametrize("similarity", ["dot", "sqeuclidean", "manhattan", "cosine"])
@pytest.mark.parametrize("name", SEPARATIONS)
def test_no_readout_raises_it(rng, similarity, name, visible):
    memory = filled(rng, similarity, SEPARATIONS[name], visible=visible)
    path = memory.run(rng.normal(size=(6, 10)), t=2.0, n_steps=20)
    assert not path.rises.any() and np.isfinite(path.energy).all()
    if visible == "sign":
        assert set(np.unique(path.state)) <= {-1.0, 1.0}
    else:
        np.testing.assert_allclose(np.linalg.norm(path.state, axis=1), 1.0)


@pytest.mark.parametrize("similarity", ["reverse_kl", "jensenshannon", FAR], ids=str)
def test_other_similarities_fall_too(rng, similarity):
    memory = filled(rng, similarity, beta=3.0)
    path = memory.run(rng.random((5, 10)), t=2.0, n_steps=20)
    assert not path.rises.any() and (path.energy[:, -1] < path.energy[:, 0]).all()
    if similarity is not FAR:
        assert (path.visible >= 0).all()


@pytest.mark.parametrize("similarity", ["sqeuclidean", "euclidean", "manhattan"])
def test_squares_of_negative_scores_rise_without_the_slope(rng, similarity):
    """Appendix A: the Hessian of sum h^3 / 3 is negative where h is; f' in front of dh/dt helps."""
    keys, cues = rng.random((6, 10)), rng.random((8, 10))
    rises = {}
    for local in (False, True):
        memory = am.NeuralDynamics(similarity, "square", local=local)
        memory.store(keys)
        rises[local] = int(memory.run(cues, t=2.0, n_steps=40).rises.sum())
    assert rises[False] == 0 < rises[True]
    convex = am.NeuralDynamics(similarity, beta=2.0, local=True)
    convex.store(keys)
    assert convex.run(cues, t=2.0, n_steps=40).rises.sum() == 0


def test_inputs_move_the_rest_point(rng):
    memory = filled(rng, "dot", beta=50.0)
    inputs = 0.01 * rng.normal(size=(4, 10))
    cues = memory.keys[:4] * 2
    path = memory.run(cues, inputs=inputs)
    assert not path.rises.any()
    dv, _ = memory.field(path.visible[:, -1], path.hidden, inputs=inputs)
    assert np.abs(dv).max() < 1e-3
    for row in range(4):
        alone = memory.run(cues[row], inputs=inputs[row])
        np.testing.assert_array_equal(alone.visible, path.visible[row])
        assert alone.energy.shape == (201,) and alone.rises == 0
    same = memory.run(cues, inputs=inputs[0])
    np.testing.assert_array_equal(same.visible[0], path.visible[0])


@pytest.mark.parametrize("visible", ["identity", "l2"])
@pytest.mark.parametrize("similarity", ["cosine", "kl", "reverse_kl", "jensenshannon"])
def test_what_does_not_look_at_the_length_lets_it_decay(rng, similarity, visible):
    memory = filled(rng, similarity, beta=20.0, visible=visible)
    cues = rng.random((3, 10))
    path = memory.run(cues, t=5.0, n_steps=50)
    length = np.linalg.norm(path.visible, axis=2)
    np.testing.assert_allclose(length, length[:, :1] * np.exp(-path.time), rtol=1e-9)
    assert not path.rises.any()
    near = am.UniversalHopfield(similarity, "max", eps=1e-4 if "kl" in similarity else None)
    near.store(memory.keys)
    before, after = (near.scores(x).max(axis=1) for x in (cues, path.state))
    assert (after > before).all(), "its direction comes nearer"


@pytest.mark.parametrize("similarity", ["cosine", "kl"])
def test_a_row_without_length_follows_its_input(rng, similarity):
    memory = filled(rng, similarity)
    path = memory.run(np.zeros(10), t=2.0, inputs=np.full(10, 0.5), n_steps=20)
    assert not path.rises and path.visible[-1].min() > 0.1


def test_neurons_slide_along_kinks_on_the_sphere(rng):
    """Explicit steps would stop at the first kink; at rest, other forces point outwards."""
    memory = filled(rng, "manhattan", visible="l2")
    path = memory.run(rng.random((4, 10)), t=20.0)
    assert not path.rises.any()
    force = memory.field(path.visible[:, -1], path.hidden)[0] + path.visible[:, -1]
    at_kinks = (np.abs(path.state[:, None] - memory.keys) < 1e-6).any(axis=1)
    assert 4 < at_kinks.sum() < 36
    for row, off in enumerate(~at_kinks):
        outwards = force[row, off] / path.state[row, off]
        np.testing.assert_allclose(outwards, outwards.mean(), rtol=0.1)


# -- fixed points ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("similarity", "beta", "share"),
    [("dot", 20.0, 1.0), ("manhattan", 10.0, 1.0), ("sqeuclidean", 100.0, 2 / 3)],
)
def test_fixed_points(rng, similarity, beta, share):
    """The memory itself for dot and Manhattan in 0..1, two thirds of it for Table 2's squares."""
    x = rng.choice([0.1, 0.9], (5, 40)) if similarity == "dot" else rng.random((5, 40))
    if similarity == "dot":
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        x = np.eye(5, 40) + 0.1 * x
    memory = am.NeuralDynamics(similarity, beta=beta)
    memory.store(x)
    state = memory.recall(x, t=20.0)
    np.testing.assert_allclose(state, share * x, atol=2e-2 if similarity == "dot" else 1e-6)
    dv, _ = memory.field(share * x)
    if similarity == "sqeuclidean":
        np.testing.assert_allclose(dv, 0.0, atol=1e-6)


def test_manhattan_stops_at_its_kinks(rng):
    """Explicit Euler chatters around them; a proximal step lands on them bit for bit."""
    memory = filled(rng, "manhattan", beta=20.0, d=30)
    path = memory.run(memory.keys + 0.1 * rng.normal(size=(6, 30)), t=8.0)
    np.testing.assert_array_equal(path.state, memory.keys)
    assert not path.rises.any()


def test_beyond_one_manhattan_is_pulled_back(rng):
    memory = am.NeuralDynamics("manhattan")
    memory.store([[3.0, 0.5]])
    np.testing.assert_allclose(memory.recall([3.0, 0.0], t=30.0), [1.0, 0.5], atol=1e-9)


# -- what has no bound ----------------------------------------------------------------------------


@pytest.mark.parametrize("similarity", ["sqeuclidean", "dot", "manhattan"])
def test_what_runs_away_stops_and_says_when(rng, similarity):
    memory = filled(rng, similarity, "cube")
    cues = rng.random((3, 10)) * 5
    path = memory.run(cues, t=10.0)
    assert (path.escaped > 0).all() and (path.escaped < 10.0).all()
    assert np.isfinite(path.energy).all() and not path.rises.any()
    assert (path.energy[:, -1] < -1e20).all()
    calm = am.NeuralDynamics(similarity)
    calm.store(memory.keys)
    assert np.isinf(calm.run(cues, t=1.0).escaped).all()


def test_any_step_size_is_stable(rng):
    for similarity in ("dot", "manhattan", "euclidean", "kl"):
        memory = filled(rng, similarity, tau_v=1e-9, tau_h=1e-9)
        path = memory.run(rng.random((3, 10)), t=1e9, n_steps=5)
        assert np.isfinite(path.visible).all() and not path.rises.any()


# -- as a memory ----------------------------------------------------------------------------------


def test_details_and_recall_agree(rng):
    memory = filled(rng, "manhattan", weights=[1, 1, 2, 1, 0, 1])
    cues = rng.random((4, 10))
    path = memory.run(cues, n_steps=20)
    np.testing.assert_array_equal(memory.run(cues, details=False, n_steps=20), path.state)
    found = memory.recall(cues, n_steps=20, details=True)
    np.testing.assert_array_equal(found.state, path.state)
    np.testing.assert_array_equal(found.energy_trace, path.energy)
    np.testing.assert_array_equal(found.energy, path.energy[:, -1])
    np.testing.assert_array_equal(path.visible[:, 0], cues)
    assert "rises" in repr(path) and "manhattan" in repr(memory)
    assert memory.weights(cues)[:, 4].max() == 0, "an item of weight 0 has none"


def test_files_and_oldest_items(rng, tmp_path):
    memory = am.NeuralDynamics("sqeuclidean", am.Softmax(2.0), visible="l2", max_items=4)
    memory.store(rng.random((6, 10)))
    assert len(memory) == 4 and "max_items=4" in repr(memory) and "l2" in repr(memory)
    again = am.load(memory.save(tmp_path / "neurons"))
    cue = rng.random(10)
    np.testing.assert_array_equal(again.recall(cue, n_steps=5), memory.recall(cue, n_steps=5))
    with pytest.raises(ValueError, match="differ in their parts"):
        memory.merge(am.NeuralDynamics("sqeuclidean", am.Softmax(2.0)))


def test_own_similarities_take_their_gradient(rng):
    own = am.Similarity(lambda c, k: c @ k.T, gradient=lambda c, k: np.stack([k] * len(c)))
    keys, cues = rng.normal(size=(6, 10)), rng.normal(size=(3, 10))
    for similarity in ("dot", own):
        memory = am.NeuralDynamics(similarity)
        memory.store(keys.astype(np.float32))
        state = memory.recall(cues, n_steps=20)
        if similarity == "dot":
            want = state
    np.testing.assert_allclose(state, want, atol=1e-2)  # not the exact linear step, but near


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "why"),
    [
        (("hamming",), {}, ValueError, "'hamming' has no gradient"),
        ((chebyshev,), {}, ValueError, "no gradient.*Similarity"),
        (("nearest",), {}, ValueError, "nearest"),
        (("dot", np.tanh), {}, ValueError, "is a function and has no Lagrangian"),
        (("dot",), {"beta": 0.0}, ValueError, "beta must be > 0"),
        (("dot", am.Entmax(1.5, 0.0)), {}, ValueError, "beta must be > 0"),
        (("dot", "max"), {"beta": 1.0}, ValueError, "no effect"),
        (("dot",), {"visible": "tanh"}, ValueError, "visible"),
        (("kl",), {"visible": "sign"}, ValueError, "which signs are not"),
        (("dot",), {"tau_v": 0.0}, ValueError, "tau_v must be a finite number > 0"),
        (("dot",), {"tau_h": -1.0}, ValueError, "tau_h must be a finite number > 0"),
        (("dot",), {"tau_h": np.nan}, ValueError, "tau_h"),
        (("dot",), {"tau_v": np.inf}, ValueError, "tau_v"),
        (("dot",), {"tau_v": "fast"}, TypeError, "tau_v"),
        (("dot",), {"local": "yes"}, TypeError, "local"),
        (("dot",), {"eps": 0.1}, ValueError, "eps has no effect"),
        (("dot",), {"max_items": 0}, ValueError, "max_items"),
        (("dot", am.Threshold(-1.0)), {}, None, ""),
        (("manhattan", am.Threshold(-1.0)), {}, ValueError, "radius"),
    ],
)
def test_constructor_refuses(args, kwargs, error, why):
    if error is None:
        am.NeuralDynamics(*args, **kwargs)
        return
    with pytest.raises(error, match=why):
        am.NeuralDynamics(*args, **kwargs)


def test_run_refuses(rng):
    memory = am.NeuralDynamics()
    for call in (memory.run, memory.recall, memory.energy, memory.field, memory.scores):
        with pytest.raises(ValueError, match="empty"):
            call(np.ones(3))
    with pytest.raises(ValueError, match="recalls keys alone"):
        memory.store(np.eye(3), np.eye(3))
    memory.store(np.eye(3))
    with pytest.raises(ValueError, match="4 columns, the memory stores 3"):
        memory.store(np.eye(4))
    cue = np.ones(3)
    for t in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="t must be"):
            memory.run(cue, t)
    for n_steps in (0, -1):
        with pytest.raises(ValueError, match="n_steps"):
            memory.run(cue, n_steps=n_steps)
    with pytest.raises(TypeError, match="n_steps"):
        memory.run(cue, n_steps=2.5)
    with pytest.raises(ValueError, match="4 columns, the memory stores 3"):
        memory.run(np.ones(4))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="cues row 1"):
            memory.run([[1.0, 1, 1], [1.0, bad, 1]])
        with pytest.raises(ValueError, match="inputs"):
            memory.run(cue, inputs=[1.0, bad, 1.0])
        with pytest.raises(ValueError, match="h row 0"):
            memory.energy(cue, [1.0, bad, 1.0])
    for inputs in (np.ones(2), np.ones((2, 3)), np.ones((1, 1, 3))):
        with pytest.raises(ValueError, match="inputs must"):
            memory.run(cue, inputs=inputs)
    for h in (np.ones(2), np.ones((2, 3)), 1.0):
        with pytest.raises(ValueError, match="h must"):
            memory.energy(cue, h)
    with pytest.raises(ValueError, match="h must have shape"):
        memory.energy(np.ones((2, 3)), np.ones(3))
    with pytest.raises(ValueError, match="cues row 0 has an energy beyond floats"):
        memory.run(np.full(3, 1e200))
    with pytest.raises(MemoryError):
        memory.run(np.ones((100000, 3)), n_steps=10**9)
    positive = am.NeuralDynamics("kl")
    positive.store(np.eye(3))
    with pytest.raises(ValueError, match="distributions"):
        positive.run([-1.0, 1.0, 1.0])
    assert memory.run(np.empty((0, 3))).visible.shape == (0, 201, 3)


def test_items_that_weigh_differently_have_no_best_k(rng):
    memory = filled(rng, "dot", am.TopK(2, 1.0), weights=np.arange(1.0, 7.0))
    with pytest.raises(ValueError, match="no Lagrangian.*weigh differently"):
        memory.run(np.ones(10))
    filled(rng, "dot", "max", weights=np.arange(1.0, 7.0)).run(np.ones(10), n_steps=3)
    with pytest.raises(ValueError, match=r"k must be in 1\.\.6"):
        filled(rng, "dot", am.TopK(7)).run(np.ones(10))


def test_gradients_must_be_what_they_say(rng):
    def similar(cues: np.ndarray, keys: np.ndarray) -> np.ndarray:
        return cues @ keys.T

    with pytest.raises(TypeError, match="gradient must be callable"):
        am.Similarity(similar, gradient=1)
    with pytest.raises(ValueError, match="'dot' has its own"):
        am.Similarity("dot", gradient=similar)
    for gradient, why in (
        (similar, r"must return shape \(q, n, d\) = \(1, 6, 10\).*it returned \(1, 6\)"),
        (lambda c, k: np.full((len(c), *k.shape), np.nan), "NaN"),
    ):
        memory = filled(rng, am.Similarity(similar, gradient=gradient))
        with pytest.raises(ValueError, match=why):
            memory.run(np.ones(10))


def test_a_distance_must_say_that_it_is_one(rng):
    memory = filled(rng, am.Similarity(chebyshev, gradient=chebyshev_slopes))
    with pytest.raises(ValueError, match="is a distance"):
        memory.run(np.ones(10))


def test_many_faint_pulls_are_felt_and_none_at_all_is_fine(rng):
    memory = am.NeuralDynamics("manhattan", am.Threshold(0.5))
    memory.store(rng.random((500, 10)))
    far = memory.run(np.full(10, 9.0), t=1.0)
    np.testing.assert_allclose(far.state, 9.0 * np.exp(-1.0), rtol=1e-12)
    even = am.NeuralDynamics("manhattan", am.Softmax(1e-6))
    even.store(rng.random((500, 3)))
    state = even.recall(np.full(3, 0.9), t=50.0)
    np.testing.assert_allclose(even.field(state)[0], 0.0, atol=0.01)


def test_a_blank_row_has_no_direction():
    memory = am.NeuralDynamics("cosine")
    memory.store([[1.0, 0.0], [0.0, 0.0]])
    path = memory.run([0.0, 0.0], n_steps=5)
    assert np.isfinite(path.visible).all() and path.rises == 0
    shares = am.NeuralDynamics("kl")
    shares.store([[1.0, 0.0], [0.0, 1.0]])
    assert not shares.run([0.0, 0.0], n_steps=5).visible.any()


def test_steps_by_manhattan_end_at_weighted_medians(rng) -> None:
    """Of few items that are felt the keys are sorted for the step, of many they were before."""
    for n in (1, 2, 7, 40):
        keys = rng.integers(0, 5, (n, 30)).astype(np.float64)  # ties in every column
        memory = am.NeuralDynamics("manhattan")
        memory.store(keys)
        g, inputs = rng.normal(size=(4, 30)), rng.normal(size=(4, 30))
        f = rng.random((4, n))
        f[1, 1:] *= 1e-30  # one is felt
        f[2] = 0.0
        spans = np.array([0.1, 0.1, 2.0, 50.0])
        _, network = memory._network(None)
        moved = forces.to_medians(network.asked(g, f, np.zeros((4, n))), inputs, spans)
        back = 1.0 / np.expm1(spans)[:, None]
        for shift in (-1e-6, 0.0, 1e-6):
            u = moved + shift
            slope = (1 + back) * u - back * g - inputs
            below = slope + (f[:, :, None] * np.sign(u[:, None] - keys - 1e-12)).sum(axis=1)
            above = slope + (f[:, :, None] * np.sign(u[:, None] - keys + 1e-12)).sum(axis=1)
            # A convex function falls before its least point and grows behind it.
            assert shift >= 0 or (below < 1e-9).all()
            assert shift <= 0 or (above > -1e-9).all()


@pytest.mark.parametrize("t", [0, -1.0, np.nan, np.inf])
def test_one_text_for_every_horizon_that_is_none(rng, t) -> None:
    memory = filled(rng)
    with pytest.raises(ValueError, match="t must be a finite number > 0, got "):
        memory.run(rng.random(10), t=t)


@pytest.mark.parametrize("t", [1e-300, 1e6, 1e300])
def test_horizons_however_short_or_long_do_not_raise_the_energy(rng, t) -> None:
    path = filled(rng).run(rng.random((2, 10)), t=t)
    assert np.isfinite(path.visible).all() and not path.rises.any()


def test_what_only_a_user_can_get_wrong_is_told(rng) -> None:
    cue = rng.random(10)
    for slopes, message in (
        (lambda cues, keys: cues, "must return shape"),
        (lambda cues, keys: np.full((len(cues), len(keys), 10), np.nan), "returned a NaN"),
    ):
        memory = filled(rng, am.Similarity(chebyshev, larger_is_better=False, gradient=slopes))
        with pytest.raises(ValueError, match=message):
            memory.run(cue)
    with pytest.raises(ValueError, match="cues have 3 columns, the memory stores 10"):
        filled(rng).run(cue[:3])
    with pytest.raises(ValueError, match="the memory is empty"):
        am.NeuralDynamics("dot").chain(cue, 3)
