"""The perturbations: exact row counts and borders, seeds, shapes, dtypes and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from amfast import corrupt

TENTHS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
ROWS_KEPT = {
    28: [25, 22, 19, 16, 14, 11, 8, 5, 2],
    32: [28, 25, 22, 19, 16, 12, 9, 6, 3],
    64: [57, 51, 44, 38, 32, 25, 19, 12, 6],
}
BORDERS = {
    28: [1, 2, 4, 5, 7, 8, 9],
    32: [1, 3, 4, 6, 8, 9, 11],
    64: [3, 6, 9, 12, 16, 19, 22],
}


@pytest.mark.parametrize("height", ROWS_KEPT)
@pytest.mark.parametrize("keep", ["top", "bottom"])
def test_mask_keeps_the_papers_rows(height: int, keep: str) -> None:
    image = np.ones((height, height, 3), np.float32)
    for fraction, kept in zip(TENTHS, ROWS_KEPT[height], strict=True):
        rows = corrupt.mask(image, fraction, keep=keep)[:, 0, 0]
        expected = np.zeros(height)
        expected[slice(None, kept) if keep == "top" else slice(height - kept, None)] = 1
        np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("height", BORDERS)
def test_inpaint_blanks_the_papers_borders(height: int) -> None:
    image = np.full((height, height), 7, np.uint8)
    for fraction, border in zip(TENTHS, BORDERS[height], strict=False):
        expected = np.zeros_like(image)
        expected[border:-border, border:-border] = 7
        np.testing.assert_array_equal(corrupt.inpaint(image, fraction), expected)
    assert (corrupt.inpaint(image, 0.5) == 0).mean() == 0.75


def test_tinyimagenets_bug_is_a_layout() -> None:
    """The authors mask channel-last rows as if they were (3, 64, 64): bands, not a half."""
    image = np.ones((1, 64 * 64 * 3), np.float32)
    wrong = corrupt.mask(image, 0.5, shape=(3, 64, 64), layout="chw").reshape(64, 64, 3)
    dark = (wrong == 0).mean(axis=(1, 2))
    assert [dark[0], dark[12], dark[25], dark[35], dark[45], dark[60]] == [0, 1, 0, 1, 0, 1]
    assert (wrong == 0).mean() == 0.5


def test_fraction_ends() -> None:
    image = np.arange(1.0, 17.0).reshape(4, 4)
    for function in (corrupt.mask, corrupt.inpaint, corrupt.random_mask):
        np.testing.assert_array_equal(function(image, 0), image)
        assert not function(image, 1).any()


def test_fold_and_clip_means() -> None:
    black = np.zeros((50, 28, 28))
    folded = corrupt.gaussian(black, 0.5, "fold", seed=3)
    clipped = corrupt.gaussian(black, 0.5, "clip", seed=3)
    # The exact means of min(|N(0, s)|, 1) and min(max(N(0, s), 0), 1) at s = 0.5.
    assert folded.mean() == pytest.approx(0.3905, abs=0.005)
    assert clipped.mean() == pytest.approx(0.1953, abs=0.005)
    np.testing.assert_array_equal(clipped[clipped > 0], folded[clipped > 0])
    assert folded.min() >= 0 and folded.max() == 1


def test_gaussian_follows_its_formula() -> None:
    image = np.random.default_rng(0).random((5, 6, 7)).astype(np.float32)
    noise = np.random.default_rng(9).standard_normal(image.shape, dtype=np.float32)
    expected = np.minimum(np.abs(image + np.float32(0.3) * noise), 1)
    np.testing.assert_array_equal(corrupt.gaussian(image, 0.3, seed=9), expected)
    small = np.rint(image * 255).astype(np.uint8)
    noisy = corrupt.gaussian(small, 0.3, seed=9)
    assert noisy.dtype == np.uint8
    assert np.abs(noisy / 255 - expected).max() < 1 / 255
    np.testing.assert_array_equal(corrupt.gaussian(small, 0), small)


def test_random_mask_takes_whole_pixels() -> None:
    images = np.ones((20, 32, 32, 3), np.float32)
    pixel = corrupt.random_mask(images, 0.4, seed=1)
    assert (pixel == pixel[..., :1]).all()
    value = corrupt.random_mask(images, 0.4, seed=1, per="value")
    assert not (value == value[..., :1]).all()
    for result in (pixel, value):
        assert (result == 0).mean() == pytest.approx(0.4, abs=0.01)
    uniform = np.random.default_rng(1).random((20, 32, 32, 1))
    np.testing.assert_array_equal(pixel[..., :1] == 0, uniform <= 0.4)


EVERYTHING = [
    lambda x, **k: corrupt.mask(x, 0.3, **k),
    lambda x, **k: corrupt.gaussian(x, 0.3, **{a: b for a, b in k.items() if a != "layout"}),
    lambda x, **k: corrupt.random_mask(x, 0.3, **k),
    lambda x, **k: corrupt.inpaint(x, 0.3, **k),
]


@pytest.mark.parametrize("function", EVERYTHING)
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (6, 8, 8), (6, 8, 8, 3), (0, 8, 8)])
def test_shape_dtype_and_input_stay(function, dtype, shape) -> None:
    images = np.random.default_rng(0).random(shape)
    images = (images * 255).astype(dtype) if dtype == np.uint8 else images.astype(dtype)
    images.setflags(write=False)
    before = images.copy()
    result = function(images)
    assert result.shape == shape and result.dtype == dtype and result.flags.writeable
    assert not np.shares_memory(result, images)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(function(np.asfortranarray(images)), result)


@pytest.mark.parametrize("function", EVERYTHING)
def test_flat_rows_and_channel_first_agree(function) -> None:
    images = np.random.default_rng(0).random((5, 8, 8, 3))
    shaped = function(images)
    if function is not EVERYTHING[1]:  # noise is drawn in memory order
        first = function(images.transpose(0, 3, 1, 2), layout="chw")
        np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), shaped)
    flat = function(images.reshape(5, -1), shape=(8, 8, 3))
    np.testing.assert_array_equal(flat.reshape(images.shape), shaped)
    one = function(images[0].reshape(-1), shape=(8, 8, 3))
    np.testing.assert_array_equal(one, flat[0])


@pytest.mark.parametrize("function", EVERYTHING[1:3])
def test_seeds(function) -> None:
    images = np.random.default_rng(0).random((10, 8, 8))
    np.testing.assert_array_equal(function(images, seed=4), function(images, seed=4))
    assert (function(images, seed=4) != function(images, seed=5)).any()
    # A batch starts with what a smaller batch is: nested memory sets see the same cues.
    np.testing.assert_array_equal(function(images, seed=4)[:3], function(images[:3], seed=4))
    stream = np.random.default_rng(4)
    np.testing.assert_array_equal(function(images, seed=stream), function(images, seed=4))
    assert (function(images, seed=stream) != function(images, seed=4)).any()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda x: corrupt.mask(x, 1.5),
            ValueError,
            r"fraction must be a number in 0\.\.1, got 1.5",
        ),
        (lambda x: corrupt.mask(x, float("nan")), ValueError, "fraction must be .*, got nan"),
        (
            lambda x: corrupt.mask(x, keep="left"),
            ValueError,
            "keep must be one of 'top', 'bottom', got 'left'",
        ),
        (lambda x: corrupt.mask(x, layout="wch"), ValueError, "layout must be one of .* got 'wch'"),
        (lambda x: corrupt.mask(x, shape=(3, 3)), ValueError, r"shape \(3, 3\), .*, got \(4, 4\)"),
        (
            lambda x: corrupt.mask(x, shape=(0, 3)),
            ValueError,
            "each length of shape must be an int >= 1, got 0",
        ),
        (lambda x: corrupt.mask(x[0]), ValueError, "flat rows need shape="),
        (lambda x: corrupt.mask(x.astype(complex)), TypeError, "complex128"),
        (lambda x: corrupt.mask(x.astype(object)), TypeError, "object"),
        (
            lambda x: corrupt.gaussian(x, -1),
            ValueError,
            "sigma must be a finite number >= 0, got -1",
        ),
        (
            lambda x: corrupt.gaussian(x, np.inf),
            ValueError,
            "sigma must be a finite number >= 0, got inf",
        ),
        (
            lambda x: corrupt.gaussian(x, 0.1, "wrap"),
            ValueError,
            "mode must be one of 'fold', 'clip', got 'wrap'",
        ),
        (
            lambda x: corrupt.gaussian(2 * x, 0.1),
            ValueError,
            r"images must lie in 0\.\.1 .*, got 2\.\.2",
        ),
        (lambda x: corrupt.gaussian(x * np.nan, 0.1), ValueError, "images row 0 has a NaN"),
        (lambda x: corrupt.gaussian(x.astype(int), 0.1), TypeError, "int64"),
        (lambda x: corrupt.mask(x, None), TypeError, "fraction must be .*, got None"),
        (lambda x: corrupt.inpaint(x, "0.5"), TypeError, "fraction must be .*, got '0.5'"),
        (lambda x: corrupt.random_mask(x, True), TypeError, "fraction must be .*, got a bool"),
        (lambda x: corrupt.mask(x, np.True_), TypeError, "fraction must be .*, got a bool"),
        (lambda x: corrupt.mask(x, [0.5]), TypeError, "fraction must be .*, got .0.5"),
        (lambda x: corrupt.mask(x, 10**400), ValueError, "fraction must be .*, got 1000"),
        (lambda x: corrupt.gaussian(x, None), TypeError, "sigma must be .*, got None"),
        (lambda x: corrupt.gaussian(x, "0.1"), TypeError, "sigma must be .*, got '0.1'"),
        (lambda x: corrupt.gaussian(x, True), TypeError, "sigma must be .*, got a bool"),
        (lambda x: corrupt.mask(x, shape=4), TypeError, "shape must be .*, got 4"),
        (lambda x: corrupt.mask(x, shape="44"), TypeError, "shape must be .*, got '44'"),
        (lambda x: corrupt.mask(x, shape=(4.0, 4)), TypeError, r"shape must be .*, got \(4.0, 4\)"),
        (lambda x: corrupt.mask(x, shape=(True, 4)), TypeError, "shape must be a tuple of ints"),
        (lambda x: corrupt.mask(x, shape=(4, None)), TypeError, "shape must be a tuple of ints"),
        (lambda x: corrupt.gaussian(x, 0.1, shape=4), TypeError, "shape must be .*, got 4"),
        (lambda x: corrupt.mask([[1.0, 2.0], [1.0]]), ValueError, "images cannot be read"),
        (lambda x: corrupt.mask("abc"), TypeError, "images must be real numbers"),
        (lambda x: corrupt.mask(None), TypeError, "images must be real numbers, got dtype object"),
        (lambda x: corrupt.mask(np.ma.masked_equal(x, 1)), ValueError, "masked entries in images"),
        (lambda x: corrupt.gaussian(np.ma.masked_equal(x, 1), 0.1), ValueError, "masked"),
        (lambda x: corrupt.mask(x * np.nan), ValueError, "images row 0 has a NaN or infinite"),
        (
            lambda x: corrupt.inpaint(x * np.inf, 0.1),
            ValueError,
            "images row 0 has a NaN or infinite",
        ),
        (
            lambda x: corrupt.random_mask(x * np.nan, 0.1),
            ValueError,
            "images row 0 has a NaN or infinite",
        ),
        (lambda x: corrupt.mask(x[0, 0]), ValueError, r"images must have .*, got (shape )?\(\)"),
        (
            lambda x: corrupt.mask(x[0, 0], shape=(4, 4)),
            ValueError,
            r"images must have .*, got (shape )?\(\)",
        ),
        (lambda x: corrupt.mask(x[None, None, None]), ValueError, "images must have"),
        (
            lambda x: corrupt.gaussian(x[0, 0], 0.1),
            ValueError,
            r"images must have .*, got (shape )?\(\)",
        ),
        (lambda x: corrupt.gaussian(x[None, None, None], 0.1), ValueError, "images must have"),
        (
            lambda x: corrupt.gaussian(x, 0.1, seed=None),
            TypeError,
            "seed must be an int in .*, got None",
        ),
        (
            lambda x: corrupt.gaussian(x, 0.1, seed=-1),
            ValueError,
            "seed must be an int in .*, got -1",
        ),
        (
            lambda x: corrupt.random_mask(x, 0.1, per="row"),
            ValueError,
            "per must be one of 'pixel', 'value', got 'row'",
        ),
        (lambda x: corrupt.inpaint(x, -0.1), ValueError, "fraction must be .*, got -0.1"),
    ],
)
def test_bad_input_is_refused(call, error, text) -> None:
    with pytest.raises(error, match=text):
        call(np.ones((4, 4)))


@pytest.mark.parametrize("shape", [(100, 784), (784, 784), (1, 3072), (50, 12288), (300, 64)])
def test_flat_rows_are_never_one_image(shape) -> None:
    flat = np.ones(shape, np.uint8)
    for call in (
        lambda **k: corrupt.mask(flat, 0.5, **k),
        lambda **k: corrupt.inpaint(flat, 0.5, **k),
    ):
        with pytest.raises(ValueError, match="flat rows or one image: pass shape="):
            call()
        assert call(shape=shape).shape == shape
    if shape[1] % 3 == 0:
        with pytest.raises(ValueError, match="pass shape="):
            corrupt.random_mask(flat, 0.5)
    else:  # a grey pixel is a value, however the rows are arranged
        side = int(shape[1] ** 0.5)
        shaped = corrupt.random_mask(flat, 0.5, shape=(side, side))
        np.testing.assert_array_equal(corrupt.random_mask(flat, 0.5), shaped)


@pytest.mark.parametrize("shape", [(28, 28), (64, 64), (1024, 1024), (480, 640), (4, 2), (1, 8)])
def test_a_grey_image_needs_no_shape(shape) -> None:
    image = np.ones(shape, np.uint8)
    assert corrupt.mask(image, 0.5).sum() == shape[0] // 2 * shape[1]
    assert corrupt.inpaint(image, 0.2).shape == shape


def test_the_largest_noise(recwarn) -> None:
    for dtype in (np.uint8, np.float16, np.float32, np.float64):
        images = np.zeros((5, 6, 7), dtype)
        for sigma in (1e308, np.finfo(float).max, 10**30):
            noisy = corrupt.gaussian(images, sigma, mode="clip")
            assert set(np.unique(noisy)) == {0, 255 if dtype == np.uint8 else 1}
            np.testing.assert_array_equal(noisy, corrupt.gaussian(images, 1e9, mode="clip"))
    assert not recwarn.list


@pytest.mark.parametrize("function", EVERYTHING)
@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8"])
def test_byte_order_stays(function, dtype) -> None:
    images = np.random.default_rng(0).random((5, 8, 8)).astype(dtype)
    result = function(images)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, function(images.astype(images.dtype.newbyteorder("="))))


def test_flip_of_nothing_and_of_either_byte_order() -> None:
    for shape in ((3, 0), (0, 3), (0,)):
        for options in ({"fraction": 0.5}, {"n_flips": 0}):
            flipped = corrupt.flip(np.ones(shape, np.uint8), **options)
            assert flipped.shape == shape and flipped.dtype == np.uint8
    swapped = np.array([0, 1, 0, 1], ">i4")
    assert corrupt.flip(swapped, 0.5).dtype == ">i4"
    for bad, error in (([[1, 0], [1]], ValueError), (np.ma.masked_equal([1, 0], 1), ValueError)):
        with pytest.raises(error, match="patterns"):
            corrupt.flip(bad, 0.5)


@pytest.mark.parametrize(
    "patterns",
    [
        np.random.default_rng(0).choice([-1, 1], (7, 40)),
        np.random.default_rng(0).choice([-1.0, 1.0], (7, 40)).astype(np.float32),
        np.random.default_rng(0).choice([-1, 1], (7, 40)).astype(np.int8),
        np.random.default_rng(0).choice([0, 1], (7, 40)).astype(np.uint8),
        np.random.default_rng(0).choice([0, 1], (7, 40)).astype(float),
        np.random.default_rng(0).random((7, 40)) < 0.5,
    ],
)
def test_flip_is_exact(patterns) -> None:
    before = patterns.copy()
    values = set(np.unique(patterns).tolist())
    for n_flips in (0, 1, 13, 40):
        flipped = corrupt.flip(patterns, n_flips=n_flips, seed=2)
        assert flipped.dtype == patterns.dtype
        assert ((flipped != patterns).sum(axis=1) == n_flips).all()
        assert set(np.unique(flipped).tolist()) <= values
        np.testing.assert_array_equal(patterns, before)
    np.testing.assert_array_equal(
        corrupt.flip(patterns, 0.325, seed=2), corrupt.flip(patterns, n_flips=13, seed=2)
    )
    np.testing.assert_array_equal(
        corrupt.flip(patterns[0], 0.2, seed=2), corrupt.flip(patterns, 0.2, seed=2)[0]
    )


@given(
    hnp.arrays(
        np.int8, hnp.array_shapes(min_dims=1, max_dims=2), elements=st.sampled_from([-1, 1])
    ),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
@settings(max_examples=50, deadline=None)
def test_flip_counts(patterns, fraction, seed) -> None:
    flipped = corrupt.flip(patterns, fraction, seed=seed, coding="bipolar")
    expected = round(fraction * patterns.shape[-1])
    assert ((flipped != patterns).sum(axis=-1) == expected).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: corrupt.flip(np.array([0, 2]), 0.5),
            ValueError,
            "patterns must hold bool, .*, got 2",
        ),
        (lambda: corrupt.flip(np.array([-1, 0, 1]), 0.5), ValueError, "both 0 and -1"),
        (
            lambda: corrupt.flip(np.array([np.nan, 1]), 0.5),
            ValueError,
            r"patterns have a NaN or infinite entry, at \(0\)",
        ),
        (lambda: corrupt.flip(np.ones(4), 0.5), ValueError, "1 everywhere"),
        (
            lambda: corrupt.flip(-np.ones(4), 0.5, coding="binary"),
            ValueError,
            r"patterns must hold {0, 1}, got -1",
        ),
        (
            lambda: corrupt.flip(np.zeros(4), 0.5, coding="ternary"),
            ValueError,
            "coding must be one of",
        ),
        (lambda: corrupt.flip(np.zeros(4)), ValueError, "exactly one"),
        (lambda: corrupt.flip(np.zeros(4), 0.5, n_flips=2), ValueError, "exactly one"),
        (
            lambda: corrupt.flip(np.zeros(4), n_flips=5),
            ValueError,
            r"n_flips must be an int in 0\.\.4, got 5",
        ),
        (
            lambda: corrupt.flip(np.zeros(4), n_flips=1.0),
            TypeError,
            r"n_flips must be an int in 0\.\.4, got 1.0",
        ),
        (lambda: corrupt.flip(np.zeros((2, 2, 2)), 0.5), ValueError, r"\(2, 2, 2\)"),
        (lambda: corrupt.flip(np.array(["a"]), 0.5), TypeError, "<U1"),
    ],
)
def test_flip_refuses(call, error, text) -> None:
    with pytest.raises(error, match=text):
        call()


def test_squares_of_the_widths_of_flat_images() -> None:
    """Where a width is that of flattened images, as many rows are a batch, not one picture."""
    assert corrupt._FLAT_SIZES == (784, 3072, 12288)
    for width in (784, 3072):
        with pytest.raises(ValueError, match="flat rows or one image: pass shape="):
            corrupt.mask(np.ones((width, width), np.uint8), 0.5)
    assert corrupt.mask(np.ones((783, 783), np.uint8), 0.5).shape == (783, 783)


def test_flip_of_ones_without_a_sign_is_of_bits() -> None:
    for dtype in (np.uint8, np.uint16, np.bool_):
        assert not corrupt.flip(np.ones((2, 4), dtype), 1.0).any()
        assert corrupt.flip(np.ones((2, 4), dtype), n_flips=1).sum() == 6
    with pytest.raises(ValueError, match="patterns are bool, which coding='bipolar' says they"):
        corrupt.flip(np.ones(4, bool), 0.5, coding="bipolar")


@pytest.mark.parametrize("bad", [10**309, 10**5000, -(10**400)], ids=["large", "huge", "negative"])
def test_integers_beyond_floats_are_refused_by_name(bad) -> None:
    image, bits = np.ones((4, 4)), np.zeros(4, bool)
    for name, call in (
        ("fraction", lambda: corrupt.mask(image, bad)),
        ("fraction", lambda: corrupt.inpaint(image, bad)),
        ("fraction", lambda: corrupt.random_mask(image, bad)),
        ("fraction", lambda: corrupt.flip(bits, bad)),
        ("sigma", lambda: corrupt.gaussian(image, bad)),
        ("n_flips", lambda: corrupt.flip(bits, n_flips=bad)),
        ("seed", lambda: corrupt.flip(bits, 0.5, seed=bad)),
        ("shape", lambda: corrupt.mask(image, shape=(bad, 1))),
        ("shape", lambda: corrupt.mask(image, shape=(4, bad))),
    ):
        with pytest.raises(ValueError, match=f"{name} must be"):
            call()
