"""Retrieval inside torch: its values, its derivatives, and what torch asks of an operator.

Beside the other tests and not in a folder "torch", which would pass for the package where that is
not installed.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import amfast as am
from amfast import reference

torch = pytest.importorskip("torch")

import amfast.torch as at  # noqa: E402
from amfast._engine.heads import METRICS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SIMILARITIES = [*METRICS, "cosine"]
OPERATOR = torch.ops.amfast.retrieve.default


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def random(*shape, dtype=torch.float64, grad=True):
    return torch.randn(*shape, dtype=dtype, requires_grad=grad)


def plain(cues, keys, values, similarity, beta, log_weight=None, causal=False):
    """What torch computes with all scores in memory."""
    if similarity == "dot":
        scores = cues @ keys.transpose(-1, -2)
    elif similarity == "cosine":
        scores = torch.nn.functional.cosine_similarity(
            cues.unsqueeze(-2), keys.unsqueeze(-3), dim=-1
        )
    else:
        apart = cues.unsqueeze(-2) - keys.unsqueeze(-3)
        scores = {
            "manhattan": lambda: -apart.abs().sum(-1),
            "sqeuclidean": lambda: -apart.square().sum(-1),
            "euclidean": lambda: -torch.linalg.vector_norm(apart, dim=-1),
        }[similarity]()
    scores = scores * beta
    if log_weight is not None:
        scores = scores + log_weight.unsqueeze(-2)
    if causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~seen, -torch.inf)
    return scores.softmax(-1) @ values


def gradients(function, inputs, weights):
    out = function(*inputs)
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


# -- values and derivatives -----------------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_gradcheck(similarity, causal):
    inputs = random(2, 3, 5, 4), random(3, 6, 4), random(6, 3), random(2, 1).abs(), random(3, 6)
    inputs = tuple(x.detach().requires_grad_() for x in inputs)

    def read(cues, keys, values, beta, log_weight):
        return at.retrieve(
            cues, keys, values,
            similarity=similarity, beta=beta, log_weight=log_weight, causal=causal,
        )  # fmt: skip

    assert torch.autograd.gradcheck(read, inputs)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_keys_that_are_the_values(similarity):
    inputs = random(5, 4), random(6, 4)
    assert torch.autograd.gradcheck(lambda q, k: at.retrieve(q, k, similarity=similarity), inputs)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1), (3, 35, 35, 20), (1, 130, 300, 7), (2, 70, 33, 65)]
)
def test_as_torch_with_all_scores_in_memory(similarity, causal, sizes):
    heads, q, n, d = sizes
    inputs = [random(heads, rows, d, dtype=torch.float32) for rows in (q, n, n)]
    weights = random(heads, q, d, dtype=torch.float32, grad=False)
    ours, theirs = (
        gradients(lambda *x, read=read: read(*x), inputs, weights)
        for read in (
            lambda *x: at.retrieve(*x, similarity=similarity, beta=0.5, causal=causal),
            lambda *x: plain(*x, similarity, 0.5, causal=causal),
        )
    )
    for mine, other in zip(ours, theirs, strict=True):
        scale = max(float(other.detach().abs().max()), 1.0)
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("causal", [False, True])
def test_as_scaled_dot_product_attention(causal):
    inputs = [random(2, 4, 35, 100, dtype=torch.float32) for _ in range(3)]
    weights = random(2, 4, 35, 100, dtype=torch.float32, grad=False)
    attention = torch.nn.functional.scaled_dot_product_attention
    ours = gradients(lambda *x: at.retrieve(*x, beta=0.1, causal=causal), inputs, weights)
    theirs = gradients(lambda *x: attention(*x, is_causal=causal), inputs, weights)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_as_cdist_and_softmax(p):
    inputs = [random(40, rows, 50, dtype=torch.float32) for rows in (35, 60, 60)]
    weights = random(40, 35, 50, dtype=torch.float32, grad=False)
    similarity = {1.0: "manhattan", 2.0: "euclidean"}[p]
    ours = gradients(lambda *x: at.retrieve(*x, similarity=similarity, beta=0.2), inputs, weights)
    theirs = gradients(
        lambda q, k, v: (-0.2 * torch.cdist(q, k, p)).softmax(-1) @ v, inputs, weights
    )
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("causal", [False, True])
def test_the_engine_has_the_slopes_of_its_twin(rng, metric, causal):
    q, k, v, g = (rng.normal(size=s) for s in [(7, 5), (9, 5), (9, 3), (7, 3)])
    k[2], k[3, :2] = q[1], q[4, :2]  # kinks
    b = rng.normal(size=9)
    tensors = [torch.tensor(x, requires_grad=True) for x in (q, k, v, np.float64(0.7), b)]
    out = at.retrieve(
        *tensors[:3], similarity=metric, beta=tensors[3], log_weight=tensors[4], causal=causal
    )
    expected, _ = reference.causal_retrieve(q, k, v, metric, 0.7, b, causal)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-12, atol=1e-13)
    (out * torch.tensor(g)).sum().backward()
    twin = reference.retrieve_backward(g, q, k, v, metric, 0.7, b, causal)
    for name, mine, theirs in zip(twin._fields, tensors, twin, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), theirs, rtol=1e-11, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_as_the_numpy_function(similarity):
    q, k, v = random(6, 9, grad=False), random(20, 9, grad=False), random(20, 3, grad=False)
    b = random(20, grad=False)
    ours = at.retrieve(q, k, v, similarity=similarity, beta=1.5, log_weight=b)
    theirs = am.retrieve(
        q.numpy(), k.numpy(), v.numpy(), similarity=similarity, beta=1.5, log_weight=b.numpy()
    )
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-13)


def test_kinks_and_zero_rows_have_slope_zero():
    x = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    values = torch.tensor([[1.0], [2.0]])
    for similarity in ("manhattan", "euclidean"):
        # Each cue lies on a key: of the other one alone there is a slope.
        (slope,) = torch.autograd.grad(
            at.retrieve(x[:1], x[:1].detach(), values[:1], similarity=similarity).sum(), x
        )
        assert (slope == 0).all()
    (slope,) = torch.autograd.grad(at.retrieve(x, x, values, similarity="cosine").sum(), x)
    assert (slope[1] == 0).all() and torch.isfinite(slope).all()


def test_a_beta_of_zero_and_keys_left_out():
    q, k, v = random(4, 3), random(5, 3), random(5, 2)
    b = torch.zeros(5, dtype=torch.float64)
    b[[1, 3]] = -torch.inf
    b.requires_grad_()
    out = at.retrieve(q, k, v, beta=0.0, log_weight=b)
    torch.testing.assert_close(out, v[[0, 2, 4]].mean(0).expand(4, 2))
    out.square().sum().backward()
    assert (q.grad == 0).all() and (v.grad[[1, 3]] == 0).all() and (b.grad[[1, 3]] == 0).all()
    assert v.grad[0].abs().sum() > 0 and b.grad[0].abs() > 0
    nothing = at.retrieve(q, k, v, log_weight=torch.full((5,), -torch.inf, dtype=torch.float64))
    assert (nothing == 0).all()
    assert all((g == 0).all() for g in torch.autograd.grad(nothing.sum(), (q, k, v)))


# -- shapes and memory layouts --------------------------------------------------------------------


def test_leading_dimensions_broadcast():
    q, k, v = random(2, 1, 5, 4), random(3, 6, 4), random(6, 2)
    beta, b = random(2, 1).abs().detach(), random(3, 6)
    out = at.retrieve(q, k, v, similarity="manhattan", beta=beta, log_weight=b)
    assert out.shape == (2, 3, 5, 2)
    for i in range(2):
        for j in range(3):
            one = at.retrieve(
                q[i, 0], k[j], v, similarity="manhattan", beta=float(beta[i]), log_weight=b[j]
            )
            torch.testing.assert_close(out[i, j], one, rtol=0, atol=0)


def test_layouts():
    q = random(4, 5, 3).transpose(0, 1)
    k = random(5, 3, 7).transpose(1, 2)
    v = random(5, 14, 4)[:, ::2, 1:3]
    inputs = [x.detach().requires_grad_() for x in (q, k, v)]
    strided = [q.detach().requires_grad_(), k.detach().requires_grad_(), v.detach()]
    assert not any(x.is_contiguous() for x in strided)
    weights = random(4, 2, grad=False).t().expand(5, 2, 4).transpose(1, 2)  # a gradient as it comes
    tight = [x.detach().contiguous().requires_grad_() for x in inputs]
    for mine, other in zip(
        gradients(lambda *x: at.retrieve(*x, causal=True), inputs, weights),
        gradients(lambda *x: at.retrieve(*x, causal=True), tight, weights.contiguous()),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (0, 4)])
def test_nothing_is_read_for_no_cues(shape):
    q, k, v = random(*shape), random(6, 4), random(6, 2)
    out = at.retrieve(q, k, v, similarity="euclidean")
    assert out.shape == (*shape[:-1], 2)
    out.sum().backward()
    assert q.grad.shape == shape and (k.grad == 0).all() and (v.grad == 0).all()


def test_inputs_stay_as_they_are():
    inputs = [random(3, 5, 4), random(3, 6, 4), random(3, 6, 2)]
    before = [x.detach().clone() for x in inputs]
    at.retrieve(*inputs, similarity="manhattan").square().sum().backward()
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))


# -- what torch asks of an operator ---------------------------------------------------------------


def arguments(q=5, transposed=False, heads=2, similarity="manhattan", causal=True):
    keys = random(heads, 4, 6).transpose(1, 2) if transposed else random(heads, 6, 4)
    return (
        random(heads, q, 4), keys, random(heads, 6, 3), random(heads).abs().detach(),
        random(heads, 6), similarity, causal, 0,
    )  # fmt: skip


@pytest.mark.parametrize("options", [
    dict(), dict(transposed=True), dict(q=0), dict(heads=0), dict(heads=7, similarity="dot"),
    dict(similarity="euclidean", causal=False),
])  # fmt: skip
def test_opcheck(options):
    torch.library.opcheck(OPERATOR, arguments(**options))


def test_opcheck_of_the_way_back():
    given = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments()]
    out, scale = OPERATOR(*given)
    checks = ("test_schema", "test_faketensor")
    backward = torch.ops.amfast.retrieve_backward.default
    torch.library.opcheck(backward, (torch.randn_like(out), out, scale, *given), test_utils=checks)


def test_vmap():
    q, k, v = (random(7, n, 4, grad=False) for n in (5, 6, 6))
    mapped = torch.vmap(lambda q, k: at.retrieve(q, k, v[0], causal=True), in_dims=(0, 0))(q, k)
    inner = torch.vmap(lambda q: at.retrieve(q, k[0]), in_dims=1, out_dims=1)(q.transpose(0, 1))
    for i in range(7):
        torch.testing.assert_close(mapped[i], at.retrieve(q[i], k[i], v[0], causal=True))
        torch.testing.assert_close(inner[:, i], at.retrieve(q[i], k[0]))


def test_vmap_of_the_way_back():
    q, k = random(5, 4), random(6, 4)
    out = at.retrieve(q, k, similarity="manhattan")
    weights = random(7, 5, 4, grad=False)
    many = torch.autograd.grad(out, (q, k), weights, is_grads_batched=True, retain_graph=True)
    for i in range(7):
        one = torch.autograd.grad(out, (q, k), weights[i], retain_graph=True)
        for mine, other in zip(many, one, strict=True):
            torch.testing.assert_close(mine[i], other)


@pytest.mark.filterwarnings("ignore")
def test_compile():
    try:
        torch.compile(lambda x: x.sin() + 1, fullgraph=True)(torch.zeros(3))
    except Exception as error:  # whatever a machine without a compiler says
        pytest.skip(f"nothing compiles here: {error}")

    def loss(q, k, b):
        read = at.retrieve(q, k, similarity="manhattan", beta=0.5, log_weight=b, causal=True)
        return read.square().sum()

    inputs = random(2, 5, 4), random(6, 4), random(6)
    compiled = torch.compile(loss, fullgraph=True)
    expected = torch.autograd.grad(loss(*inputs), inputs)
    for mine, other in zip(torch.autograd.grad(compiled(*inputs), inputs), expected, strict=True):
        torch.testing.assert_close(mine, other)


# -- promises -------------------------------------------------------------------------------------


@pytest.mark.parametrize("similarity", METRICS)
@pytest.mark.parametrize("sizes", [(40, 35, 35), (1, 700, 90), (1, 90, 3000), (1, 3, 4)])
def test_threads_change_no_bit(similarity, sizes):
    heads, q, n = sizes
    inputs = [random(heads, rows, 20, dtype=torch.float32) for rows in (q, n, n)]
    weights = random(heads, q, 20, dtype=torch.float32, grad=False)
    one, two, setting = (
        gradients(
            lambda *x, t=t: at.retrieve(*x, similarity=similarity, beta=0.3, threads=t),
            inputs, weights,
        )
        for t in (1, 2, None)
    )  # fmt: skip
    for a, b, c in zip(one, two, setting, strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


MEMORY = """
import resource, sys, torch, amfast.torch as at
torch.set_num_threads(1)
n = int(sys.argv[1])
def step(n):
    q, k = (torch.randn(n, 16, requires_grad=True) for _ in range(2))
    at.retrieve(q, k, similarity="manhattan", causal=True, threads=2).sum().backward()
step(64)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step(n)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_no_scores_are_ever_held():
    run = [sys.executable, "-c", MEMORY, "16384"]
    kilobytes = int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
    assert kilobytes < 100_000, "the scores alone would be 1,048,576"


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "error", "words"), [
    (dict(cues=np.zeros((2, 4))), TypeError, "cues must be a torch tensor, got ndarray"),
    (dict(cues=torch.zeros(2, 4).half()), TypeError, "float32 or float64, got torch.float16"),
    (dict(cues=torch.zeros(2, 4).bfloat16()), TypeError, "torch.bfloat16"),
    (dict(cues=torch.zeros(2, 4, dtype=torch.int64)), TypeError, "torch.int64"),
    (dict(keys=torch.zeros(3, 4).double()), TypeError, "keys must have the type of the cues"),
    (dict(keys=torch.zeros(3, 4, device="meta")), TypeError, "keys must be on the CPU, .* meta"),
    (dict(keys=torch.zeros(3, 4).to_sparse()), TypeError, "keys must be a dense tensor"),
    (dict(keys=torch.zeros(3, 5)), ValueError, "cues have 4 columns, the keys have 5"),
    (dict(keys=torch.zeros(0, 4)), ValueError, "no keys"),
    (dict(keys=torch.zeros(4)), ValueError, "keys must be .* got shape"),
    (dict(values=torch.zeros(2, 4)), ValueError, "values have 2 rows, the keys have 3"),
    (dict(cues=torch.zeros(2, 2, 4), keys=torch.zeros(3, 3, 4)), ValueError, "must broadcast"),
    (dict(similarity="hamming"), ValueError, "similarity must be one of .*got 'hamming'"),
    (dict(similarity=None), ValueError, "similarity must be one of .*got None"),
    (dict(beta=-1.0), ValueError, "beta must be finite and at least 0, got -1"),
    (dict(beta=float("nan")), ValueError, "beta must be finite"),
    (dict(beta="steep"), TypeError, "beta must be a number or a tensor, got str"),
    (dict(log_weight=torch.zeros(2)), ValueError, "log_weight must be"),
    (dict(log_weight=torch.tensor([0.0, torch.nan, 0.0])), ValueError, "finite or -inf, got NaN"),
    (dict(threads=0), ValueError, "threads"),
    (dict(threads=1.5), TypeError, "threads"),
    (dict(cues=torch.tensor([[0.0] * 4, [torch.nan] * 4])), ValueError, "queries row 1 has a NaN"),
    (dict(keys=torch.full((3, 4), torch.inf)), ValueError, "keys row 0"),
    (dict(cues=torch.full((2, 4), 3e38), keys=torch.full((3, 4), 3e38)), ValueError, "too large"),
])  # fmt: skip
def test_refusals(change, error, words):
    given = dict(cues=torch.zeros(2, 4), keys=torch.zeros(3, 4)) | change
    with pytest.raises(error, match=words):
        at.retrieve(given.pop("cues"), given.pop("keys"), **given)


def test_a_bad_gradient_is_told():
    out = at.retrieve(random(2, 5, 4), random(6, 4), causal=True)
    bad = torch.zeros_like(out)
    bad[1, 3] = torch.nan
    with pytest.raises(ValueError, match="head 1: gradients row 3 has a NaN"):
        out.backward(bad)


def test_second_derivatives_are_refused():
    q, k = random(5, 4), random(6, 4)
    (slope,) = torch.autograd.grad(at.retrieve(q, k).sum(), q, create_graph=True)
    with pytest.raises(ValueError, match="first derivatives only"):
        slope.sum().backward()


def test_without_torch_the_extra_is_named(tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('not here')")
    run = [sys.executable, "-c", "import amfast.torch"]
    environment = {"PYTHONPATH": f"{tmp_path}:{am.__path__[0]}/.."}
    told = subprocess.run(run, capture_output=True, text=True, env=environment)
    assert "pip install 'amfast-memory[torch]'" in told.stderr
