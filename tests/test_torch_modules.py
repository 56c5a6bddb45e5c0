"""Modules of `amfast.torch`: shapes, beside torch's own attention, masks, training."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

import amfast.torch as at  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SIMILARITIES = ["dot", "sqeuclidean", "euclidean", "manhattan", "cosine"]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def pair(bias=True):
    """Torch's attention and ours, with the same parameters."""
    theirs = nn.MultiheadAttention(12, 3, bias=bias, batch_first=True)
    ours = at.SimilarityAttention(12, 3, bias=bias)
    if bias:
        nn.init.normal_(theirs.in_proj_bias), nn.init.normal_(theirs.out_proj.bias)
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    return theirs, ours


CAUSAL = nn.Transformer.generate_square_subsequent_mask(6)
PADDED = torch.arange(6).expand(4, 6) > torch.tensor([[5], [2], [3], [4]])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("masks", [
    dict(),
    dict(attn_mask=CAUSAL, is_causal=True),
    dict(attn_mask=CAUSAL),
    dict(attn_mask=CAUSAL == -torch.inf),
    dict(attn_mask=torch.tensor([0.0, 1.0, -torch.inf, 0.5, 0.0, 2.0]).expand(6, 6)),
    dict(key_padding_mask=PADDED),
    dict(key_padding_mask=torch.randn(4, 6)),
    dict(key_padding_mask=torch.zeros(4, 6).masked_fill(PADDED, -torch.inf), attn_mask=CAUSAL),
])  # fmt: skip
def test_as_multihead_attention(bias, masks):
    theirs, ours = pair(bias)
    x = torch.randn(4, 6, 12, requires_grad=True)
    given = {"need_weights": False} | masks
    answer, weights = ours(x, x, x, **given)
    expected, _ = theirs(x, x, x, **given)
    assert weights is None
    torch.testing.assert_close(answer, expected, rtol=1e-5, atol=1e-5)
    slopes = [
        torch.autograd.grad(out.square().sum(), [x, *module.parameters()])
        for out, module in ((answer, ours), (expected, theirs))
    ]
    for mine, other in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_other_queries_and_no_batch():
    theirs, ours = pair()
    q, k = torch.randn(5, 12), torch.randn(7, 12)
    torch.testing.assert_close(
        ours(q, k, k)[0], theirs(q, k, k, need_weights=False)[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("options", "words"), [
    (dict(need_weights=True), "need_weights"),
    (dict(attn_mask=torch.randn(6, 6)), "attn_mask differs between queries"),
    (dict(attn_mask=torch.zeros(12, 6, 6)), "attn_mask must be .* got shape"),
])  # fmt: skip
def test_masks_that_cannot_be(options, words):
    x = torch.randn(4, 6, 12)
    with pytest.raises(ValueError, match=words):
        at.SimilarityAttention(12, 3)(x, x, x, **options)


@pytest.mark.parametrize("training", [True, False])
def test_in_an_encoder_layer(training):
    """Also in evaluation, where torch would rather use its own dot products."""
    x = torch.randn(4, 6, 12)
    layer = nn.TransformerEncoderLayer(12, 3, 24, dropout=0.0, batch_first=True).train(training)
    reference = layer(x, src_mask=CAUSAL, is_causal=True)
    ours = at.SimilarityAttention(12, 3)
    ours.load_state_dict(layer.self_attn.state_dict())
    layer.self_attn = ours
    with torch.no_grad():
        dot = layer(x, src_mask=CAUSAL, is_causal=True)
        torch.testing.assert_close(dot, reference, rtol=1e-4, atol=1e-5)
        ours.similarity = "manhattan"
        assert (layer(x, src_mask=CAUSAL, is_causal=True) - dot).abs().max() > 1e-3


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("make", [
    lambda s: at.Hopfield(8, 2, similarity=s),
    lambda s: at.Hopfield(8, similarity=s, beta=2.0),
    lambda s: at.HopfieldPooling(8, 3, similarity=s, heads=2),
    lambda s: at.HopfieldLayer(8, 10, similarity=s),
])  # fmt: skip
def test_every_parameter_learns(make, similarity):
    module = make(similarity)
    out = module(torch.randn(4, 5, 8))
    assert out.shape == (4, 3 if isinstance(module, at.HopfieldPooling) else 5, 8)
    out.square().sum().backward()
    for name, x in module.named_parameters():
        # A constant of keys moves all scores of a dot product alike.
        flat = similarity == "dot" and name == "key.bias"
        assert x.grad is not None and (flat or x.grad.abs().sum() > 0), name
    assert similarity in repr(module)


def test_hopfield_reads_what_is_stored():
    module = at.Hopfield(8, 2)
    states, stored, values = torch.randn(4, 5, 8), torch.randn(4, 7, 8), torch.randn(4, 7, 8)
    weights = torch.zeros(4, 7)
    weights[:, 4:] = -torch.inf
    masked = module(states, stored, values, log_weight=weights)
    cut = module(states, stored[:, :4], values[:, :4])
    torch.testing.assert_close(masked, cut, rtol=1e-5, atol=1e-6)
    assert module(states, stored).shape == module(states).shape == states.shape
    early = module(states, causal=True)[:, :3]
    torch.testing.assert_close(early, module(states[:, :3], causal=True), rtol=1e-5, atol=1e-6)


def test_dropout_is_of_training_only():
    module = at.Hopfield(8, dropout=0.5)
    x = torch.randn(2, 5, 8)
    assert not torch.equal(module(x), module(x))
    module.eval()
    assert torch.equal(module(x), module(x))


def test_retrieval_settles():
    patterns = torch.nn.functional.normalize(torch.randn(20, 32), dim=1)
    cues = patterns[:5] + 0.08 * torch.randn(5, 32)
    once = at.HopfieldRetrieval("dot", beta=30.0)(cues, patterns)
    often = at.HopfieldRetrieval("dot", beta=30.0, max_iter=4)(cues, patterns)
    again = once
    for _ in range(3):
        again = at.retrieve(again, patterns, beta=30.0)
    torch.testing.assert_close(often, again)
    assert (often - patterns[:5]).norm() < (once - patterns[:5]).norm()
    values = torch.arange(20.0)[:, None]
    read = at.HopfieldRetrieval("dot", 30.0, 4)(cues, patterns, values)
    assert (read[:, 0].round() == torch.arange(5)).all()
    assert not list(at.HopfieldRetrieval().parameters())


@pytest.mark.parametrize("make", [
    lambda: at.Hopfield(8, 3), lambda: at.Hopfield(8, 0), lambda: at.SimilarityAttention(8, 3),
    lambda: at.HopfieldRetrieval(max_iter=0),
])  # fmt: skip
def test_refusals(make):
    with pytest.raises(ValueError, match="got"):
        make()


def test_a_layer_learns_what_it_is_shown():
    x = torch.randn(6, 8)
    layer = at.HopfieldLayer(8, 6, similarity="manhattan", beta=2.0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    losses = []
    for _ in range(150):
        loss = (layer(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_the_transformer_of_appendix_f_learns(tmp_path):
    from amfast.reproduce import _registry, uhn_attention

    sentence = "In the beginning was the word , and the word was brief . "
    for name in ("train.txt", "valid.txt"):
        (tmp_path / name).write_text(100 * sentence)
    text = uhn_attention._text(_registry.Context("quick", data=tmp_path))
    perplexity, entropy = uhn_attention._train(text, "manhattan", 3e-3, 1.0, 25, 0)
    assert 1.0 <= perplexity < 0.5 * text.unigram
    assert 0.0 < entropy < 3.6  # ln 36


def test_kinds_of_attention_weigh_as_the_library_does():
    """Those of appendix F: the weights that are held are the retrieval's, causal, with slopes."""
    import numpy as np

    import amfast as am
    from amfast.reproduce import uhn_attention

    x = torch.randn(2, 7, uhn_attention.WIDTH)
    for kind in uhn_attention.KINDS:
        attention = uhn_attention._attention(kind, 0.1)
        answer, _ = attention(x, x, x, is_causal=True)
        cues, keys, values = uhn_attention._heads(attention, x)
        weights = uhn_attention._weights(cues, keys, kind, 0.1)
        read = attention.out_proj((weights @ values).transpose(-2, -3).flatten(-2))
        torch.testing.assert_close(answer, read, rtol=1e-4, atol=1e-5)
        assert not weights.triu(1).any()
        similarity, _, sparse = kind.partition(", ")
        by = {"": am.Softmax(0.1), "sparsemax": am.Sparsemax(0.1), "top 4": am.TopK(4, 0.1)}
        memory = am.UniversalHopfield(similarity, by[sparse])
        memory.store(keys[0, 0].detach().numpy())
        found = memory.weights(cues[0, 0, -1].detach().numpy())
        np.testing.assert_allclose(found, weights[0, 0, -1].detach().numpy(), atol=1e-5)
        answer.square().sum().backward()
        assert torch.isfinite(attention.in_proj_weight.grad).all()
