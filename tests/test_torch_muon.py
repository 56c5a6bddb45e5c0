"""`amfast.torch.Muon`: its formula, the memory's own steps, torch's optimizer, refusals."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import amfast as am  # noqa: E402
import amfast.torch as at  # noqa: E402
from amfast import theory  # noqa: E402
from amfast.memories.learned import training  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def walked(shape, steps, gradients, **options):
    """A matrix after steps by the gradients given."""
    w = torch.nn.Parameter(torch.ones(shape, dtype=torch.float64))
    optimizer = at.Muon([w], **options)
    for gradient in gradients[:steps]:
        w.grad = torch.from_numpy(gradient)
        optimizer.step()
    return w.detach().numpy()


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3)])
@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_are_the_formula(rng, shape, nesterov):
    gradients = rng.normal(size=(4, *shape))
    options = dict(lr=0.1, momentum=0.8, weight_decay=0.3, newton_schulz_steps=4)
    found = walked(shape, 4, gradients, nesterov=nesterov, **options)
    w, average = np.ones(shape), np.zeros(shape)
    for g in gradients:
        average = 0.8 * average + 0.2 * g
        ahead = 0.8 * average + 0.2 * g if nesterov else average
        tall = np.sqrt(max(1.0, shape[0] / shape[1]))
        w = (1 - 0.1 * 0.3) * w - 0.1 * tall * training.newton_schulz(ahead, 4)
    np.testing.assert_allclose(found, w, rtol=1e-10)


def test_without_momentum_it_is_the_memorys(rng):
    queries, answers = np.linalg.qr(rng.normal(size=(9, 6)))[0].T, np.eye(6)
    f = np.arange(1.0, 7)
    memory = am.LinearAssociativeMemory("muon", lr=0.3, n_steps=7, matrix_sign="newton-schulz")
    memory.fit(queries, answers, f)
    w = torch.nn.Parameter(torch.zeros(6, 9, dtype=torch.float64))
    optimizer = at.Muon([w], lr=0.3, momentum=0.0)
    e, share = torch.from_numpy(queries), torch.from_numpy(f / f.sum())

    def closure():
        optimizer.zero_grad()
        each = torch.nn.functional.cross_entropy(e @ w.T, torch.arange(6), reduction="none")
        loss = (share * each).sum()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(7)]
    np.testing.assert_allclose(losses, memory.loss_[:7], rtol=1e-9)
    np.testing.assert_allclose(w.detach().numpy(), memory.W_, atol=1e-9)


def test_as_torchs_own(rng):
    """Whose products are of bfloat16, with 8 bits."""
    if not hasattr(torch.optim, "Muon"):
        pytest.skip("torch has Muon from 2.9 on")
    gradients = rng.normal(size=(5, 8, 6))
    theirs = torch.nn.Parameter(torch.ones(8, 6, dtype=torch.float64))
    optimizer = torch.optim.at.Muon([theirs], lr=0.1, momentum=0.9, weight_decay=0.2)
    for gradient in gradients:
        theirs.grad = torch.from_numpy(gradient)
        optimizer.step()
    ours = walked((8, 6), 5, gradients, lr=0.1, momentum=0.9, weight_decay=0.2)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=0.03)


def test_every_singular_value_is_near_one(rng):
    gradient = rng.normal(size=(5, 8))
    step = 1 - walked((5, 8), 1, [gradient], lr=1.0)
    s = np.linalg.svd(gradient)[1]
    low, high = theory.newton_schulz_range(s[-1] / np.linalg.norm(s))
    found = np.linalg.svd(step)[1]
    assert low - 1e-9 <= found.min() and found.max() <= high + 1e-9


def test_nothing_to_learn_is_no_step():
    still = walked((3, 2), 1, [np.zeros((3, 2))])
    np.testing.assert_array_equal(still, np.ones((3, 2)))
    w = torch.nn.Parameter(torch.ones(2, 2))
    at.Muon([w]).step()  # without a gradient
    assert (w == 1).all()


def test_state_goes_on(rng):
    gradients = rng.normal(size=(4, 3, 3))
    whole = walked((3, 3), 4, gradients, lr=0.1)
    w = torch.nn.Parameter(torch.ones(3, 3, dtype=torch.float64))
    state = None
    for gradient in gradients:
        optimizer = at.Muon([w], lr=0.1)
        if state is not None:
            optimizer.load_state_dict(state)
        w.grad = torch.from_numpy(gradient)
        optimizer.step()
        state = optimizer.state_dict()
    np.testing.assert_array_equal(w.detach().numpy(), whole)


@pytest.mark.parametrize(("given", "message"), [
    (dict(lr=-1.0), "lr must be a finite number >= 0, got -1"),
    (dict(momentum=1.0), "momentum must be below 1, got 1"),
    (dict(weight_decay=float("nan")), "weight_decay must be a finite number"),
    (dict(newton_schulz_steps=0), "newton_schulz_steps must be an int >= 1, got 0"),
    (dict(params=[torch.ones(3)]), r"real matrices, got a parameter of shape \(3,\); give it"),
    (dict(params=[torch.ones(2, 2, dtype=torch.complex64)]), "got a parameter of complex numbers"),
])  # fmt: skip
def test_refused(given, message):
    with pytest.raises(ValueError, match=message):
        at.Muon(**{"params": [torch.nn.Parameter(torch.ones(2, 2))], **given})


def test_rare_facts_are_learned_first_by_muon():
    from amfast.reproduce import muon_pretraining as pretraining

    rare = pretraining.GROUPS[pretraining.RARE]
    muon = pretraining._train(pretraining.MUON, 0.1, 0)
    sign = pretraining._train(pretraining.SIGN, 3e-3, 0)
    assert muon.recall[0].mean() < 0.05 and muon.recall[-1].mean() > 0.95
    assert pretraining._steps(muon, rare) < 0.7 * pretraining._steps(sign, rare)
    assert 0 < muon.loss[-1] < 0.1 * muon.loss[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("power", [-200, -170, -38, -25, -8, 20, 25, 170])
def test_gradients_of_any_size_turn_the_same_way(dtype, power) -> None:
    torch.manual_seed(0)
    start = torch.randn(6, 9, dtype=dtype)
    shape = torch.randn(6, 9, dtype=torch.float64)
    scaled = (shape * 10.0**power).to(dtype)
    if not scaled.isfinite().all() or not scaled.all():
        pytest.skip("out of the type's range")
    steps = []
    for gradient in (shape.to(dtype), scaled):
        w = start.clone().requires_grad_()
        w.grad = gradient
        at.Muon([w], lr=0.1, momentum=0.0).step()
        steps.append((w.detach() - start).double())
    coarse = 0.03 if dtype == torch.bfloat16 or power <= -38 else 1e-5
    assert (steps[0] - steps[1]).abs().max() < coarse
    assert steps[1].abs().max() > 0.01


def test_a_layer_that_died_stays_finite() -> None:
    w = torch.randn(16, 16, requires_grad=True)
    optimizer = at.Muon([w], lr=0.02)
    w.grad = torch.randn(16, 16)
    optimizer.step()
    for _ in range(3000):
        w.grad = torch.zeros(16, 16)
        optimizer.step()
    assert w.isfinite().all()


def test_every_group_is_checked() -> None:
    def parameter() -> torch.Tensor:
        return torch.zeros(2, 3, requires_grad=True)

    for wrong in (
        {"lr": -1.0},
        {"momentum": 1.5},
        {"newton_schulz_steps": 2.5},
        {"nesterov": "no"},
        {"weight_decay": float("nan")},
    ):
        name = next(iter(wrong))
        with pytest.raises((TypeError, ValueError), match=name):
            at.Muon([{"params": [parameter()], **wrong}])
        optimizer = at.Muon([parameter()])
        with pytest.raises((TypeError, ValueError), match=name):
            optimizer.add_param_group({"params": [parameter()], **wrong})
        assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_a_matrix_of_nothing_stays_nothing(shape) -> None:
    w, other = torch.zeros(shape, requires_grad=True), torch.ones(2, 2, requires_grad=True)
    w.grad, other.grad = torch.zeros(shape), torch.ones(2, 2)
    at.Muon([other, w], lr=0.1).step()
    assert (other < 1).all()


def test_sparse_gradients_are_refused_by_name() -> None:
    table = torch.nn.Embedding(5, 3, sparse=True)
    before = table.weight.detach().clone()
    table(torch.tensor([0, 1])).sum().backward()
    with pytest.raises(ValueError, match=r"no sparse gradients, got one of shape \(5, 3\)"):
        at.Muon(table.parameters()).step()
    assert (table.weight == before).all()
