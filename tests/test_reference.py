"""The NumPy twins themselves: ranges they must not leave, and the families that hold them."""

from __future__ import annotations

import ast
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from amfast import reference


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-170, 1e-30, 1.0, 1e160, 1e300])
def test_cosine_and_euclidean_do_not_leave_the_range_of_squares(scale) -> None:
    q, k = np.array([[3.0, 0.0]]) * scale, np.array([[1.0, 1.0], [0.0, 2.0], [-1.0, 0.0]]) * scale
    cosine = reference.pairwise(q, k, "cosine")
    np.testing.assert_allclose(cosine, [[1 - math.sqrt(0.5), 1.0, 2.0]], rtol=1e-14)
    distance = reference.pairwise(q, k, "euclidean")
    exact = [math.hypot(*row) for row in (k - q).tolist()]
    np.testing.assert_allclose(distance[0], exact, rtol=1e-14)


def test_cosine_of_scales_that_differ_within_a_pair() -> None:
    x = np.array([[1e-300, 2e-300], [1e300, 2e300], [0.0, 0.0], [5e-324, 1e308]])
    d = reference.pairwise(x, x, "cosine")
    assert d[0, 1] == d[1, 0] < 1e-30
    assert (d[2] == 1).all() and (d[:, 2] == 1).all()
    assert (d[[0, 1, 3], [0, 1, 3]] == 0).all()


def test_cosine_does_not_cancel(rng) -> None:
    """Small angles keep their digits, and a row is at 0 from itself."""
    x = rng.normal(size=(50, 30))
    assert (reference.pairwise(x, x, "cosine").diagonal() == 0).all()
    for angle in (1e-3, 1e-6, 1e-9):
        q, k = [[1.0, 0.0]], [[math.cos(angle), math.sin(angle)]]
        found = reference.pairwise(q, k, "cosine")[0, 0]
        assert found == pytest.approx(2 * math.sin(angle / 2) ** 2, rel=1e-6)


def test_distributions_over_the_whole_range() -> None:
    """Sums that would overflow, and ratios that would."""
    assert reference.distribution(np.array([1e308, 1e308, 0.0])).tolist() == [0.5, 0.5, 0.0]
    p, q = np.array([[1.0, 1e-320]]), np.array([[1e-320, 1.0]])
    d = reference.pairwise(p, q, "kl")[0, 0]
    exact = -math.log(Fraction(1e-320))
    assert d == pytest.approx(exact, rel=1e-12)
    assert reference.pairwise(p, np.array([[0.0, 1.0]]), "reverse_kl")[0, 0] == math.inf


def test_numpy_is_all_that_the_twins_import() -> None:
    folder = Path(reference.__file__).parent
    allowed = ("numpy", "amfast.reference", "math", "typing", "collections", "__future__")
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert all(name.startswith(allowed) for name in names), (path.name, names)
        assert path.read_text("utf-8").count("\n") <= 500
