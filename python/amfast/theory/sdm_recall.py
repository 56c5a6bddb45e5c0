r"""Iterated recall from a sparse distributed memory: how far from a stored word it still converges.

A second read does not start afresh. Its noise comes from the same counters, so where the first read
went wrong the second is likely to, and the cue's pull is now that of the word just read. The
functions here follow one typical bit through the reads: with q_k the word read k-th (1 where its
bit is right, -1 where it is wrong) and d_k its distance from the stored word, the sum of a bit is

``S_k = phi(d_k) + b q_k + g_k``,  ``q_(k+1) = sign(S_k)``,

with the signal phi and the bias b of `sdm_read`, and g normal with the covariance of two reads at
distance D,

``c(D) = (T - 1) (E[phi(D_1) phi(D_2)] + p phi(D))``,

D_1 and D_2 being the distances of both words to a random third one.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from amfast import _check
from amfast._typing import Float
from amfast.theory._solve import count, size
from amfast.theory.sdm import _overlaps, _pmf, activation_probability, sdm_read

__all__ = ["sdm_convergence_distance", "sdm_iterated_distance"]

_SAMPLES = 20_000
# Standard deviations beyond which a distance to a random word is not looked at.
_TAIL = 7.0


def sdm_iterated_distance(
    n_bits: int, n_locations: int, radius: int, n_items: int, distance: int, max_iter: int = 10
) -> Float:
    """Distances to the stored word after 0, 1, ... reads from a cue at distance d.

    Autoassociative; see the module for the equations. They are solved by a sample of 20,000 bits
    from a fixed seed. Derived for this library: it leaves out that a word read is slightly nearer
    to all items that had a say in it, which makes true recall end a little earlier.

    Parameters
    ----------
    n_bits, n_locations, radius, n_items : int
        n, M, r and T.
    distance : int
        Of the cue.
    max_iter : int, default 10
        Reads.

    Returns
    -------
    (max_iter + 1,) array
        Mean distances for n to infinity; single words of 1000 bits scatter by about 10.

    Examples
    --------
    >>> from amfast import theory
    >>> path = theory.sdm_iterated_distance(1000, 1_000_000, 451, 10_000, 150)
    >>> bool(path[1] < 100 and path[2] < 50 and path[-1] == 0)
    True
    """
    n = size(n_bits, "n_bits", 1)
    m = count(n_locations, "n_locations", 1)
    radius = _check.integer(radius, "radius", 0, n)
    items = count(n_items, "n_items", 1)
    distance = _check.integer(distance, "distance", 0, n)
    steps = _check.integer(max_iter, "max_iter", 1)
    _refuse_swapped(n, m, radius, items)
    phi, covariance = m * _overlaps(n, radius), _covariance(n, m, radius, items)
    bias = sdm_read(n, m, radius, items, distance).bias
    random = np.random.Generator(np.random.PCG64(0))
    word = np.ones(_SAMPLES)
    word[: round(_SAMPLES * distance / n)] = -1
    words, noises, out = [word], np.empty((0, _SAMPLES)), [float(distance)]
    known = np.empty((0, 0))
    for _ in range(steps):
        apart = np.array([np.count_nonzero(word != other) for other in words]) * (n / _SAMPLES)
        shared = np.array([covariance(round(d)) for d in apart])
        own, shared = shared[-1], shared[:-1]
        # What the earlier noise says of this one; reads that are nearly the same say it once.
        mixture = np.linalg.lstsq(known, shared, rcond=1e-4)[0] if len(shared) else shared
        left = math.sqrt(max(own - float(mixture @ shared), 0.0))
        noise = mixture @ noises + left * random.standard_normal(_SAMPLES)
        noises = np.concatenate([noises, noise[None]])
        known = np.block([[known, shared[:, None]], [shared[None], np.full((1, 1), own)]])
        word = np.where(phi[round(out[-1])] + bias * word + noise > 0, 1.0, -1.0)
        words.append(word)
        out.append(n * float(np.count_nonzero(word < 0)) / _SAMPLES)
    return np.array(out)


def _refuse_swapped(n: int, m: int, r: int, items: int) -> None:
    """Refuse sizes of a memory that look as if two were swapped.

    A radius that activates less than one location stores nothing, and one beyond half of the bits
    activates most of them: nobody builds such a memory, but 100 items beside a radius of 451 do
    look like it in the wrong order.
    """
    active = m * activation_probability(n, r)
    if active < 1 or 2 * r > n + 1:
        raise ValueError(
            f"radius {r} of n_bits={n} activates {active:.3g} of n_locations={m} on average, and "
            f"n_items={items}: the order is (n_bits, n_locations, radius, n_items); use keywords"
        )


@functools.lru_cache(maxsize=8)
def _covariance(n: int, m: int, radius: int, items: int) -> Callable[[int], float]:
    phi, p = m * _overlaps(n, radius), activation_probability(n, radius)

    @functools.cache
    def at(apart: int) -> float:
        # A third word differs from both in u of the n - D bits they share, and in b of the others
        # from the one and in D - b from the other.
        spread = math.ceil(_TAIL * math.sqrt(n) / 2) + 1
        middle = (n - apart) // 2
        u = np.arange(max(0, middle - spread), min(n - apart, middle + spread) + 1)
        b = np.arange(apart + 1)
        near = phi[u[:, None] + b]
        mean = _pmf(n - apart)[u] @ (near * near[:, ::-1]) @ _pmf(apart)
        return (items - 1) * float(mean + p * phi[apart])

    return at


def sdm_convergence_distance(
    n_bits: int, n_locations: int, radius: int, n_items: int, max_iter: int = 10
) -> int:
    """Largest distance from which iterated reads recover the stored word.

    The other critical distance beside the crossing of `sdm_critical_distance`, and the one that
    Kanerva's 209 at 1000 bits, 10^6 locations and 10^4 items is to be compared with.
    Autoassociative. Half of all cues converge there where a word activates many locations (100 or
    more on average); with few, the sums of single words scatter around the mean that is followed
    here and true recall ends earlier, see below.

    Parameters
    ----------
    n_bits, n_locations, radius, n_items : int
        n, M, r and T.
    max_iter : int, default 10
        Reads.

    Returns
    -------
    int
        From `sdm_iterated_distance`, as the last distance that ends with less than half a wrong
        bit. Measured with 1000 bits: 330, 243, 200, 135 for 1000, 5000, 10,000, 20,000 items; with
        256 bits and 10^5 locations: 61, 49, 28 for 1000, 2000, 5000. With 10^4
        locations, of which 11 are active, the formula says too much: 68, 56, 42 for 50, 100, 200
        words of 256 bits, where 44, 46, 38 are measured.

    Raises
    ------
    ValueError
        Also for a radius that activates less than one location on average, or is beyond half of
        the bits: the arguments are in another order than those of `sdm_best_radius`.

    Examples
    --------
    >>> from amfast import theory
    >>> 57 <= theory.sdm_convergence_distance(256, 100_000, 103, 1000) <= 65
    True
    """
    low, high = -1, size(n_bits, "n_bits", 1) // 2 + 1
    while high - low > 1:
        middle = (low + high) // 2
        end = sdm_iterated_distance(n_bits, n_locations, radius, n_items, middle, max_iter)[-1]
        low, high = (middle, high) if end < 0.5 else (low, middle)
    return max(low, 0)
