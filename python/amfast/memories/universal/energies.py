"""The energy that recall never increases, and where there is one.

With items k_i, their log weights b_i and a state g, which is the readout of v, there is one formula
for all (Millidge et al., *Universal Hopfield Networks*, ICML 2022, equation 3 with hidden neurons
at rest; Krotov and Hopfield, *Large Associative Memory Problem in Neurobiology*, ICLR 2021):

    ``E(g) = [v.g - L_v(v)] - L_h(s(g))``,  ``s_i = k_i.g``

The bracket is ``|g|^2 / 2`` for the readout "identity"; for "sign" it is 0 in the cube -1..1, for
"l2" 0 in the unit ball, and +inf outside, where no recalled state lies. ``L_h`` is the convex
potential of which the weights are the gradient:

==================== ========================================================
softmax              ``lse(beta s + b) / beta`` (Ramsauer et al. 2021, without their constants)
sparsemax, entmax    in place of lse their own, see `amfast.parts.entmax`
max                  ``max_i s_i``
top k                the mean of the k best; with beta ``lse(beta s) / beta`` over them
power n              ``sum_i e^b_i s_i^(n+1) / (n+1)``, n odd or rectified; unbounded
exponential          ``sum_i exp(beta s_i + b_i) / beta``
threshold            ``sum_i e^b_i max(s_i - radius, 0)``
log, sqrt            ``sum_i e^b_i (s_i ln s_i - s_i)``, ``sum_i e^b_i (2 / 3) s_i^(3/2)``
==================== ========================================================

The next state is where a linear bound of E is lowest. Under "identity" that asks for the weights
themselves: ``normalize=False`` for powers, thresholds, log and sqrt. Under "sign" and "l2" a
positive factor changes nothing; powers and exponentials that come divided by their sum then have
the logarithm ``ln(sum_i e^b_i |s_i|^(n+1)) / (n+1)`` or lse as ``L_h``, which no power overflows.

Two kinds of distance have an energy too. "sqeuclidean" under "identity", with ``s = -d`` and
weights >= 0 that are divided by their sum, descends ``-L_h(s(g))``: the mean is where a bound of it
is lowest. "sqeuclidean" and "hamming" under "sign" are dot products but for a constant. And "max"
descends by every metric, since an item is nearest to itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import parts
from amfast._engine.reading import read
from amfast._engine.scoring import cue_tiles, scores
from amfast._stores.items import Stored
from amfast._typing import Array, Float
from amfast.bits import BitMatrix
from amfast.parts import Readout


def why_none(model: Any, readout: Readout, items: Stored | None) -> str:
    """Say why a step need not decrease anything; empty if an energy exists."""
    separation = model.separation
    own = separation.why_no_energy(separation.n_best is None or _weigh_alike(items))
    return str(own) or _why_no_bound(model, readout)


def _why_no_bound(model: Any, readout: Readout) -> str:
    """Say why the next state is not where a bound of an energy is lowest; empty if it is."""
    metric, separation = model.similarity.metric, model.separation
    descends = f"a step of {model.similarity.name} descends none that is known"
    if metric is None:
        return f"{descends}; dot and sqeuclidean do"
    if readout.kind != "identity":
        if metric != "dot" and (readout.kind, metric) not in _AS_DOT:
            return f"{descends} under the readout {readout.kind!r}; dot does"
    elif separation.n_best == 1:
        return ""
    elif metric == "sqeuclidean":
        if model.raw:
            return f"raw weights of {separation!r} descend one for dot only"
        if not separation.nonnegative:
            return f"the weights of {separation!r} descend one for dot only"
    elif metric != "dot":
        return f"{descends}; dot and sqeuclidean do, and 'max' by any metric"
    elif not (model.raw or separation.sums_to_one or isinstance(separation, parts.Softmax)):
        return "weights divided by their sum descend none; use normalize=False"
    return ""


# Distances that are dot products but for a constant, where all states are of one length.
_AS_DOT = (("sign", "hamming"), ("sign", "sqeuclidean"))


def _weigh_alike(items: Stored | None) -> bool:
    """Whether all items that weigh anything weigh the same."""
    if items is None or not items.weighted:
        return True
    live = items.weights[items.weights > 0]
    return live.size == 0 or bool((live == live[0]).all())


def energies(
    model: Any, states: Array | BitMatrix, readout: Readout, items: Stored, threads: int
) -> Float:
    """Energies of states (Q,), where `why_none` has nothing to say."""
    v = states if isinstance(states, BitMatrix) else states.astype(np.float64)
    gained, weight = _gained(model, v, items, threads)
    own = _own(model, v, readout)
    outside = np.isinf(own) & (readout.kind != "identity")
    with np.errstate(over="ignore", invalid="ignore"):
        energy = np.where(outside, np.inf, own - gained)
    # Where no item has any weight the energy of a softmax is +inf, which is not an overflow.
    overflows = (weight > -np.inf) | np.isinf(own)
    bad = np.flatnonzero(~np.isfinite(energy) & overflows & ~outside)
    if len(bad):
        raise ValueError(
            f"states row {bad[0]} has an energy beyond the largest float64; scale the data"
        )
    return energy


def _own(model: Any, states: Float | BitMatrix, readout: Readout) -> Float:
    """Return what states have of energy without any item (Q,); +inf where no step ends."""
    if isinstance(states, BitMatrix):
        return np.zeros(len(states))
    if model.similarity.metric == "dot":
        return readout.dual(states)
    if readout.kind == "sign":
        return np.where((np.abs(states) == 1).all(axis=1), 0.0, np.inf)
    return np.zeros(len(states))


def _gained(
    model: Any, states: Float | BitMatrix, items: Stored, threads: int
) -> tuple[Float, Float]:
    """Energy gained from the items (Q,), and what is -inf where no item has any weight."""
    similarity, separation, larger = model.similarity, model.separation, model.larger_is_better
    source, asked = model._source(items, states), model._prepared(states)
    integral = separation.integral()
    if integral is None:
        gained = np.empty(len(states))
        for tile in cue_tiles(len(states), len(items)):
            s = scores(asked[tile], source.keys, source.packed, similarity, threads)
            s = s if larger else np.negative(s, out=s)
            gained[tile] = separation.potential(s, source.log_weight, larger)
        return gained, gained
    # Only the sum of the weights is wanted, so the values are one column of zeros.
    source = source._replace(values=np.zeros((len(items), 1)))
    _, log_scale = read(asked, source, similarity, integral[0], threads)
    with np.errstate(over="ignore"):
        return (np.exp(log_scale) if model.raw else log_scale) / integral[1], log_scale
