"""Dense associative memories and the exponential memory: energies steeper than squares.

See `DenseAssociativeMemory`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from amfast import _check, bits, theory
from amfast._engine import scoring
from amfast._engine.scoring import numbers
from amfast._stores.items import Stored
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Int, Mask, Signs
from amfast.bits import Kind
from amfast.memories.dense.fields import Binary, Fields, Real
from amfast.memories.dense.interaction import interaction as read_interaction
from amfast.memories.recall import Recall
from amfast.memories.units.base import Units, bounded, of_values, one_step, overlaps, told
from amfast.memories.units.path import by_unit
from amfast.parts import dynamics
from amfast.parts.dynamics import Motion, Settled

DenseRecall = Recall


class DenseAssociativeMemory(Units):
    """Dense associative memory (Krotov and Hopfield 2016) and exponential memory.

    Stored patterns x_mu of weight w_mu are attractors of units s_i = -1, +1 under ::

        E(s) = - sum_mu w_mu F(x_mu . s) - sum_i b_i s_i

        power:        F(o) = o^n
        rectified:    F(o) = max(o, 0)^n
        exponential:  F(o) = exp(beta o)       (Demircigil et al. 2017)
        logistic:     F(o) = ln(1 + exp(beta o)) / beta,  F' the logistic function

    Recall comes in three forms, which are different maps:

    - ``update="async"``: one unit after the other takes the sign of half the difference of its two
      energies, ``h_i = sum_mu w_mu x_mu,i [F(r + 1) - F(r - 1)] / 2 + b_i`` with
      ``r = o_mu - x_mu,i s_i``, the overlap without the unit itself. It never raises E, so it ends.
    - ``update="sync"``: all units take the signs of the same h at once; it may cycle.
    - ``update="one-step"``: ``sign(sum_mu w_mu F'(o_mu) x_mu,i + b_i)`` once, each overlap with the
      unit in it. This is readout(separation(similarity)) as in `UniversalHopfield`, and **not** an
      energy difference: there a pattern that agrees with unit i counts F(o) - F(o - 2), one that
      does not F(o + 2) - F(o). Under the exponential these are e^-beta and e^beta times the same.

    n = 2 is Hopfield's network without a diagonal.

    Parameters
    ----------
    n : int, default 3
        Power, >= 1. Energies up to ``sum(w) d^n`` must fit float64 (n = 40 does up to d = 10^7); a
        ValueError otherwise. Ignored by the exponential and the logistic.
    interaction : {"power", "rectified", "exponential", "logistic"}
        "logistic" is the dual of a net of logistic units, see `network`. F' is at most 1, so that a
        few random patterns outvote any other: it is for that duality, not for capacity.
    beta : float, default 1.0
        Slope of the exponential and the logistic, > 0; ignored by the others.
    bias : float or (d,) array, optional
        b, in units of E; one per unit of the answer. None means 0. Not for the exponential, whose
        energies have no common scale.
    real : bool, default False
        Whether the stored patterns are real numbers, kept as float64, instead of bits. Cues and
        answers are binary all the same. Not for the logistic.
    max_items : int, optional
        How many patterns are kept: when one more is stored, the oldest goes.

    Notes
    -----
    Capacity for K random patterns of d units: all are exact fixed points up to about
    ``K_max = d^(n-1) / (2 (2n-3)!! ln d)`` (Krotov and Hopfield 2016, equation 6;
    `amfast.theory.dense_capacity`), which has a maximum in n; half of them still are at 1.6 K_max
    (power) or 2.9 K_max (rectified) for d = 100. The exponential memory corrects a fraction rho of
    wrong units in ``exp(alpha d)`` patterns for ``alpha < I(1 - 2 rho) / 2``, with
    ``2 I(a) = (1 + a) ln(1 + a) + (1 - a) ln(1 - a)`` (`amfast.theory.exponential_exponent`): one
    given pattern is safe up to twice that alpha, all together only up to this one.

    **Ties.** A field of magnitude at most 2^-52 times the sum of the magnitudes of its terms is a
    tie, decided alike on every machine and for any number of threads. A tied unit keeps its state
    (or takes ``tie``), and is counted as undecided. For patterns that are closed under reversal of
    a unit, as the truth table of XOR is for the unit of the answer, an even power has nothing but
    ties: no answer is made up.

    **Exactness.** Overlaps of binary patterns are integers, the differences of F are computed in
    integers and rounded once, so fields are exact to 2^-52 of their terms for any d up to 10^5 and
    any n up to 40. The exponential is taken relative to the largest overlap at hand and never
    overflows; its energy is given as ``-ln sum_mu w_mu exp(beta o_mu)``, which falls where E does.

    **Values** make the memory heteroassociative. Asynchronous and synchronous recall treat keys and
    values as one pattern of d + o units: those of the cue are clamped, those of the value start at
    -1 (off) and settle (one synchronous sweep is Krotov and Hopfield's classification). One-step
    recall is ``sign(sum_mu w_mu F'(o_mu) v_mu)`` with the overlaps of the keys alone.

    Cues may be `BitMatrix`, bool, {0, 1} or {-1, +1} arrays of any real dtype; the answer is of the
    same kind. Many threads may read one memory at a time, also while one stores or deletes.

    References
    ----------
    Krotov, Hopfield, *Dense Associative Memory for Pattern Recognition*, NIPS 2016.
    Demircigil, Heusel, Loewe, Upgang, Vermet, *On a Model of Associative Memory with Huge Storage
    Capacity*, J. Stat. Phys. 168, 2017.

    Examples
    --------
    >>> import amfast as am
    >>> memory = am.DenseAssociativeMemory(n=3)
    >>> memory.store([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])
    array([0, 1])
    >>> memory.recall([1, 1, 1, 1, -1, -1, 1, 1])
    array([ 1,  1,  1,  1, -1, -1, -1, -1])

    XOR: three units of which two are given, solved by odd powers from 3 on.

    >>> xor = am.DenseAssociativeMemory(n=3)
    >>> ids = xor.store([[-1, -1], [-1, 1], [1, -1], [1, 1]], [[-1], [1], [1], [-1]])
    >>> xor.recall([[-1, 1], [1, 1]])
    array([[ 1],
           [-1]])
    """

    def __init__(
        self,
        n: int = 3,
        *,
        interaction: str = "power",
        beta: float = 1.0,
        bias: Any = None,
        real: bool = False,
        max_items: int | None = None,
    ) -> None:
        self._interaction = read_interaction(interaction, n, beta)
        self._real = _check.flag(real, "real")
        if self._real and self._interaction.logistic:
            raise ValueError("real: the logistic interaction is for patterns of bits")
        self._given_bias = None if bias is None else dynamics.bias(bias)
        if self._given_bias is not None and self._interaction.exponential:
            raise ValueError(
                "bias: the exponential interaction has no common scale of energies to add it in"
            )
        self._store = bounded(max_items)
        self._unit = "columns" if real else "bits"

    _counted = "units"

    # -- storing ----------------------------------------------------------------------------------

    def _patterns(
        self, given: Any, name: str, like: Kind | None, partners: int | None = None
    ) -> tuple[Any, Kind | None]:
        if not self._real:
            return super()._patterns(given, name, like, partners)
        rows = _check.rows(given, name, partners=partners)
        _check.finite(rows, name)
        return rows.astype(np.float64, copy=False), None

    def _item_weights(self, given: Any, length: int) -> Float:
        return _check.weights.nonnegative(given, length)

    def _check_room(self, keys: Any, values: Any, total: float) -> None:
        super()._check_room(keys, values, total)
        total += self._load(self._store.now)
        if not self._real:
            units = int(keys.shape[1]) + (0 if values is None else int(values.shape[1]))
            self._interaction.check_range(units, total, f"{units} units")
            return
        parts = [keys] if values is None else [keys, values]
        with np.errstate(over="ignore"):
            reach = float(sum(np.abs(x).sum(axis=1) for x in parts).max(initial=0.0))
        self._interaction.check_range(reach, total, f"patterns of absolute sum {reach:g}")

    def _parameters(self) -> dict[str, Any]:
        f = self._interaction
        return {
            "n": f.n, "interaction": f.kind, "beta": f.beta, "bias": self._given_bias,
            "real": self._real, "max_items": self._store.max_items,
        }  # fmt: skip

    def _same_parameters(self, other: DenseAssociativeMemory) -> bool:
        f, mine, theirs = self._interaction, self._parameters(), other._parameters()
        # What the interaction makes no use of may differ.
        theirs["max_items"] = mine["max_items"]
        theirs["n" if f.sloped else "beta"] = mine["n" if f.sloped else "beta"]
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    # -- recalling --------------------------------------------------------------------------------

    def recall(
        self,
        cues: Any,
        update: str = "async",
        max_sweeps: int = 100,
        seed: int = 0,
        *,
        clamp: Any = None,
        tie: str | int = "keep",
        order: str = "random",
        temperature: float | None = None,
        details: bool = False,
        max_iter: int | None = None,
        trace: str | None = None,
        threads: int | None = None,
    ) -> Any:
        """Let each cue settle, or take one step.

        Parameters
        ----------
        cues : (Q, d) or (d,) binary array or BitMatrix
        update : {"async", "sync", "one-step"}
            See the class: the first two go down in energy, unit by unit or all at once, the third
            is one read.
        max_sweeps : int, default 100
            Sweeps at most, >= 1; a row stops when a sweep flips nothing, or cycles. One step of
            "sync" is a sweep; "one-step" is one.
        seed : int, default 0
            Of the orders and of the temperature's noise, 0 to 2**64 - 1, together with the cue's
            own bits: equal cues recall alike wherever they stand, alone or in a batch, at a
            temperature too: for samples take a seed each. The same on every platform.
        clamp : (d,) or (Q, d) bool array, optional
            True for units that are known and never change. In a heteroassociative memory all units
            of the cue are; it takes no more.
        tie : {"keep", 1, -1}, default "keep"
            The state of a unit without a field.
        order : {"random", "fixed"}, default "random"
            Of the units in an asynchronous sweep: new in every sweep, or unit 0 first.
        temperature : float, optional
            T > 0, in units of E: a unit becomes +1 with probability 1 / (1 + exp(-2 h / T))
            (Glauber 1963), for ``max_sweeps`` sweeps. None or 0 follows the sign.
        details : bool, default False
            Whether to return a `Recall`.
        max_iter : int, optional
            Another name of ``max_sweeps``, as other memories call it.
        trace : {"unit"}, optional
            Return a `Recall` with every state on the way, flip by flip, and its energy: ``path``,
            ``path_energy`` and ``path_unit``, see there. For pictures of small networks: it is
            replayed in Python. Units are taken in the order of ``order="fixed"``, or of NumPy's
            ``default_rng(seed)`` in every sweep, so that a path may end elsewhere than without a
            trace. "async" without a temperature alone.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, d) or (d,) array or BitMatrix, or Recall
            In the kind of the cues; (Q, o) if heteroassociative. There, with ``tie="keep"``, an
            undecided unit is 0 in {-1, +1} answers of signed types; other kinds, which have no
            third value, give -1 (``undecided_units`` names them: units without a field in the final
            state, or, where synchronous sweeps ended early, in the one that the last began with).

        Raises
        ------
        ValueError
            If the memory is empty, widths differ, values are not binary or codings are mixed.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.

        Warns
        -----
        SeparationWarning
            Once per memory, if most of 16 stored patterns do not come back from themselves. It
            looks when 32 cues or more are recalled.
        """
        details = _check.flag(details, "details")
        if max_iter is not None:
            max_sweeps = max_iter
        tied = dynamics.tie_rule(tie)
        rules = dynamics.rules(update, order, tied, temperature, max_sweeps, seed, details)
        n_threads = resolve_threads(threads)
        now = self._stored()
        states, kind = self._cues(cues, "cues", now)
        once = update == "one-step"
        if trace is not None:
            mask = dynamics.clamped(clamp, len(states), now.width)
            return by_unit(self, states, kind, mask, rules, now.heteroassociative, trace)
        if now.heteroassociative:
            if clamp is not None:
                raise ValueError(
                    "clamp: the values of a heteroassociative memory are all to be found"
                )
            motion = Motion(self._bias(now), None, rules, n_threads)
            find = self._voted if once else self._beside
            end, undecided = find(states, now, motion)
            return told(kind, of_values(end.states, undecided, tied), end, undecided, details)
        mask = dynamics.clamped(clamp, len(states), now.width)
        motion = Motion(self._bias(now), mask, rules, n_threads)
        fields = self._fields(now)
        settle = fields.step if once else fields.flip
        self._look(states, now, motion, lambda some: settle(some, motion))
        end = settle(states, motion)
        return told(kind, end.states, end, end.undecided, details)

    def _helps(self, d: int) -> str:
        return "steeper energies hold more: a larger n, or interaction='exponential'"

    def _voted(self, cues: Signs, now: Stored, motion: Motion) -> tuple[Settled, Mask]:
        """Recall values in one step."""
        if motion.bias is not None or motion.rules.temperature:
            raise ValueError("one-step recall of values has no bias and no temperature")
        found = self._fields(now).vote(cues, motion.threads)
        return one_step(found), found == 0

    def _beside(self, cues: Signs, now: Stored, motion: Motion) -> tuple[Settled, Mask]:
        """Recall values by settling beside the clamped cue."""
        fields, d, rules = self._fields(now), now.width, motion.rules
        start = np.full((len(cues), d + now.value_width), -1, np.int8)
        start[:, :d] = cues
        mask = np.zeros((1, start.shape[1]), np.bool_)
        mask[:, :d] = True
        motion = motion._replace(bias=_beside_keys(motion.bias, d), clamp=mask)
        end = fields.flip(start, motion)
        assert end.undecided is not None
        undecided = end.undecided
        cut = end.period == 0
        if rules.update == "sync" and not rules.temperature and cut.any():
            # The last step decided in the state before it, which is another one.
            look = replace(rules, max_sweeps=rules.max_sweeps - 1, energies=False)
            before = fields.flip(start, motion._replace(rules=look))
            assert before.undecided is not None
            undecided = np.where(cut[:, None], before.undecided, undecided)
        return end._replace(states=end.states[:, d:]), undecided[:, d:]

    # -- looking at cues --------------------------------------------------------------------------

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Overlaps x_mu . s with every stored key, (Q, N) or (N,): int32, float64 if real."""
        found, kind = self._overlaps(cues, self._stored(), threads)
        return np.asarray(kind.answer(found))

    def weights(self, cues: Any, *, threads: int | None = None) -> Float:
        """Weigh every pattern as one-step recall does, (Q, N) or (N,) float64.

        ``w_mu F'(o_mu)`` divided by the sum of their magnitudes, which leaves signs as they are and
        any power within range; all zero where every one is.
        """
        now = self._stored()
        found, kind = self._overlaps(cues, now, threads)
        share, _ = self._interaction.votes(found, now.log_weight)
        return np.asarray(kind.answer(share))

    def _overlaps(self, cues: Any, now: Stored, threads: int | None) -> tuple[Array, Kind]:
        n_threads = resolve_threads(threads)
        if self._real:
            states, kind = self._cues(cues, "cues", now)
            return scoring.dot(states.astype(np.float64), now.keys, n_threads), kind
        words, kind = bits.binary(cues, "cues", now.width, single=True, like=now.kind)
        return overlaps(words, now.keys, n_threads), kind

    def energy(self, states: Any, values: Any = None, *, threads: int | None = None) -> Any:
        """Energy of states, (Q,) float64, or a float for one state.

        ``-sum_mu w_mu F(o_mu) - sum_i b_i s_i``; ``-ln sum_mu w_mu exp(beta o_mu)`` for the
        exponential. Asynchronous recall never raises it (at temperature 0).

        Parameters
        ----------
        states : (Q, d) or (d,) binary array or BitMatrix
        values : (Q, o) or (o,), likewise
            The units of the values, in a heteroassociative memory.
        threads : int, optional
            None means the setting.
        """
        n_threads = resolve_threads(threads)
        now = self._stored()
        flat, kind = self._cues(states, "states", now)
        bias = self._bias(now)
        if now.heteroassociative != (values is not None):
            have = "has" if now.heteroassociative else "has no"
            raise ValueError(f"the memory {have} values; energy takes states and values alike")
        if values is not None:
            own, _ = bits.states(values, "values", now.value_width, like=kind)
            if len(own) != len(flat):
                raise ValueError(f"values have {len(own)} rows, states have {len(flat)}")
            flat, bias = np.hstack([flat, own]), _beside_keys(bias, now.width)
        look = Motion(bias, None, dynamics.Rules(max_sweeps=0, energies=True), n_threads)
        found = self._fields(now).flip(flat, look).energies
        assert found is not None
        return kind.number(found[:, 0].copy())

    def network(self) -> tuple[Float, Callable[[Array], Float], Float]:
        """Return the feed-forward net of the same function: ``sign(V activation(W x))``.

        One hidden layer, a unit for each stored pattern, which is what ``update="one-step"``
        computes (Krotov and Hopfield 2016, section 3: the duality of dense memories and nets).

        Returns
        -------
        W : (K, d) float64
            The stored keys: what the hidden units look for.
        activation : callable
            F', elementwise: ``n o^(n-1)``, rectified or not, the logistic function, or
            ``exp(beta (o - m))`` with the largest overlap m that there can be, so that it is
            finite; signs do not depend on m.
        V : (o, K) float64
            The values, or the keys if autoassociative, times the items' weights.

        Raises
        ------
        ValueError
            If the memory is empty or has a bias, which this net has no place for.

        Examples
        --------
        >>> import numpy as np, amfast as am
        >>> memory = am.DenseAssociativeMemory(n=3)
        >>> ids = memory.store(am.BitMatrix.random(40, 64, seed=0))
        >>> W, activation, V = memory.network()
        >>> x = am.BitMatrix.random(1, 64, seed=1).unpack()[0]
        >>> bool((memory.recall(x, update="one-step") == np.sign(V @ activation(W @ x))).all())
        True
        """
        now = self._stored()
        if self._given_bias is not None:
            raise ValueError("bias: the net of a dense memory has none; make one without")
        keys, values = (numbers(rows).astype(np.float64) for rows in (now.keys, now.values))
        most = float(np.abs(keys).sum(axis=1).max())
        return keys, partial(self._interaction.slope, most=most), (values * now.weights[:, None]).T

    def _fields(self, now: Stored) -> Fields:
        """Return the patterns in the form that the engine needs, made once."""
        made = Real if self._real else Binary
        fields: Fields = now.derived("fields", lambda: made(self._interaction, now))
        return fields

    # -- looking at it ----------------------------------------------------------------------------

    def _theory(self, d: int, loads: Int) -> tuple[dict[str, float], Float | None]:
        if self.interaction == "logistic":
            return {}, None
        if self.interaction == "exponential":
            return {"all patterns, exp(d ln 2 / 2)": theory.exponential_capacity(d)}, None
        if self.n < 2:
            return {}, None
        kind: Any = self.interaction
        return {
            "no errors (textbook)": theory.dense_capacity(d, self.n),
            "half are exact fixed points": theory.dense_n50(d, self.n, interaction=kind),
        }, None

    @property
    def interaction(self) -> str:
        """``"power"``, ``"rectified"``, ``"exponential"`` or ``"logistic"``."""
        return self._interaction.kind

    @property
    def n(self) -> int:
        """The power; without effect under the exponential and the logistic."""
        return self._interaction.n

    @property
    def beta(self) -> float:
        """The slope of the exponential and the logistic; without effect under powers."""
        return self._interaction.beta

    @property
    def nbytes(self) -> int:
        """Bytes held: patterns, weights, and what recall derived from them."""
        now = self._store.now
        return super().nbytes + (0 if now is None else self._fields(now).nbytes)

    def _described(self) -> str:
        f = self._interaction
        text = f"interaction={f.kind!r}, " if f.kind != "power" else ""
        text += f"beta={f.beta:g}" if f.sloped else f"n={f.n}"
        bias = self._given_bias
        if bias is not None:
            text += ", bias=..." if bias.ndim else f", bias={float(bias):g}"
        return text + (", real=True" if self._real else "") + self._bounded()


def _beside_keys(bias: Float | None, d: int) -> Float | None:
    """Return the bias of keys and values side by side: the keys, which never flip, have none."""
    return None if bias is None else np.concatenate([np.zeros(d), bias])
