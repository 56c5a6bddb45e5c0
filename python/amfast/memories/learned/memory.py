"""A linear associative memory that is trained instead of summed: softmax retrieval of answers."""

from __future__ import annotations

import math
import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np

from amfast import _check, _console, _docs, theory
from amfast._engine.scoring import dot
from amfast._stores.items import Batch
from amfast._threads import resolve_threads
from amfast._typing import Array, Float
from amfast.bits import Kind
from amfast.memories.base import Memory
from amfast.memories.learned.attributes import Attributes
from amfast.memories.learned.pairs import labels, pairs
from amfast.memories.learned.store import PairStore, Trained
from amfast.memories.learned.training import (
    History,
    Record,
    curvature,
    inward,
    matrix_sign,
    newton_schulz,
    outward,
    span,
)
from amfast.memories.recall import Recall
from amfast.theory.learned import noise

OPTIMIZERS = ("muon", "gd", "ngd", "signgd")


class LinearAssociativeMemory(Attributes, Memory):
    """One matrix W that answers queries by softmax, trained by gradient steps.

    With queries e_j (rows of E, shape (K, d)) and answers a_i (rows of A, shape (K, o)), the memory
    says that query j has answer i with probability

        p^(i | j) = softmax_i(a_i^T W e_j),        W of shape (o, d),

    and training lowers the cross-entropy ``sum_j f_j sum_i p(i | j) ln 1 / p^(i | j)`` against the
    labels ``p(i | j) = (1 - alpha) [i = j] + alpha / K``, with the frequencies f_j (sum 1) and the
    label noise alpha. Every step sees all pairs; there is no momentum; W starts at 0. With the
    gradient G = A^T ((p^ - p) diag(f)) E a step is

    ========== ===================================================================
    ``muon``   W -= lr msgn(G), where msgn(U S V^T) = U V^T over the nonzero part
    ``gd``     W -= lr G
    ``ngd``    ``W -= lr G / |G|_F``
    ``signgd`` W -= lr sign(G); in the task basis W -= lr A^T sign(p^ - p) E
    ========== ===================================================================

    Muon treats frequent and rare pairs alike, gradient descent learns a pair at a rate in
    proportion to its frequency (Li et al., *Muon in Associative Memory Learning*, 2026,
    arXiv 2602.05725; the closed forms are in `amfast.theory`).

    Parameters
    ----------
    optimizer : {"muon", "gd", "ngd", "signgd"}, default "muon"
    lr : float, optional
        Step size, > 0. None chooses it from the data. With the margin pace ``m`` per step, which is
        1 without label noise and ``m*/n_steps`` with it (``m* = ln(1 + (1 - alpha) K / alpha)`` is
        the margin of the optimum), and the root mean square norms a, e of the rows:
        muon ``m / (a e)``; ngd ``m sqrt(K) / (a e)``; signgd ambient
        ``m sqrt(pi K / (2 o d)) / (a e)``, task ``m / (2 a^2 e^2)``. For gd 1 over the largest
        eigenvalues of A^T A and E^T diag(f) E; for orthonormal rows that is 1 / max f.
    n_steps : int, default 100
        At least 1.
    basis : {"ambient", "task"}, default "ambient"
        Where signgd takes its signs. "task" knows the pairs, so it is an oracle, meant for
        orthonormal rows. The other optimizers do not depend on a rotation of the coordinates.
    label_noise : float, default 0.0
        alpha, 0 <= alpha < 1.
    matrix_sign : {"svd", "newton-schulz"}, default "svd"
        How muon takes the matrix sign. "svd" is exact over singular values above 1e-12 of the
        largest. "newton-schulz" runs the quintic iteration 3.4445 x - 4.7750 x^3 + 2.0315 x^5 on
        ``G / |G|_F``: products alone, but it is approximate and leaves singular values below about
        3.4445^-steps of the largest small.
    newton_schulz_steps : int, default 5
        At least 1.
    warm_start : bool, default False
        Whether `fit` goes on from the W at hand.
    progress : bool, default False
        Whether `fit` shows a progress bar on a terminal.

    Attributes
    ----------
    W_ : (o, d) float64
    queries_, answers_ : (K, d), (K, o) arrays
        The pairs of the last call, as given.
    frequency_ : (K,) float64
        Divided by their sum.
    lr_ : float
        The step size in use.
    loss_ : (n + 1,) float64
        Cross-entropy in nats; entry t is the loss after t steps, entry 0 before the first.
    excess_loss_ : (n + 1,) float64
        What the loss is above the least possible, the entropy of the labels.
    accuracy_ : (n + 1,) float64
        Share of the queries, by frequency, whose most probable answer is their own.
    groups_ : (G,) array
        The labels given as ``groups``; without them all pairs are one group 0.
    group_loss_, group_accuracy_ : (n + 1, G) float64
        Excess loss and accuracy of each group, by frequency within it.

    Notes
    -----
    Training runs in float64 whatever the inputs, on NumPy's linear algebra; where there are fewer
    pairs than columns it runs in the span of the pairs, except for ambient signs. Answers that are
    equal count as the same answer in the accuracies and share the probability otherwise. `keys` are
    the queries, `values` the answers, `scores` the logits ``a_i^T W q`` and `weights` the
    probabilities; `store`, `merge` and `delete` refuse: training needs all pairs. Errors and Ctrl-C
    leave the last training as it was. Capacity:
    independent queries and answers (K <= min(d, o)) can be told apart with any confidence.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> memory = am.LinearAssociativeMemory("muon", lr=1.0, n_steps=10)
    >>> memory.fit(np.eye(3), np.eye(3)[[1, 2, 0]], frequency=[100, 10, 1])
    <LinearAssociativeMemory(lr=1.0, n_steps=10): 3 pairs, 3 -> 3 columns, loss 5.83e-05>
    >>> memory.predict(np.eye(3))
    array([[0., 1., 0.],
           [0., 0., 1.],
           [1., 0., 0.]])
    """

    _settable = (
        "optimizer",
        "lr",
        "n_steps",
        "basis",
        "label_noise",
        "matrix_sign",
        "newton_schulz_steps",
        "warm_start",
        "progress",
    )

    def __init__(
        self,
        optimizer: str = "muon",
        *,
        lr: float | None = None,
        n_steps: int = 100,
        basis: str = "ambient",
        label_noise: float = 0.0,
        matrix_sign: str = "svd",
        newton_schulz_steps: int = 5,
        warm_start: bool = False,
        progress: bool = False,
    ) -> None:
        self.optimizer: str = _check.choice(optimizer, "optimizer", OPTIMIZERS)
        self.lr = None if lr is None else _check.number(lr, "lr", 0.0, above=True)
        self.n_steps = _check.integer(n_steps, "n_steps", 1)
        self.basis: str = _check.choice(basis, "basis", ("ambient", "task"))
        if self.basis == "task" and self.optimizer != "signgd":
            raise ValueError(
                f"basis='task' is for optimizer='signgd'; {self.optimizer!r} does not depend on it"
            )
        self.label_noise = noise(label_noise)
        self.matrix_sign: str = _check.choice(matrix_sign, "matrix_sign", ("svd", "newton-schulz"))
        self.newton_schulz_steps = _check.integer(newton_schulz_steps, "newton_schulz_steps", 1)
        self.warm_start = _check.flag(warm_start, "warm_start")
        self.progress = _check.flag(progress, "progress")
        self._store = PairStore()

    def _parameters(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer,
            "lr": self.lr,
            "n_steps": self.n_steps,
            "basis": self.basis,
            "label_noise": self.label_noise,
            "matrix_sign": self.matrix_sign,
            "newton_schulz_steps": self.newton_schulz_steps,
            "warm_start": self.warm_start,
            "progress": self.progress,
        }

    # -- training ---------------------------------------------------------------------------------

    def fit(
        self, queries: Any, answers: Any, frequency: Any = None, *, groups: Any = None
    ) -> LinearAssociativeMemory:
        """Train on pairs: query j has answer j.

        Parameters
        ----------
        queries : (K, d) array
        answers : (K, o) array
        frequency : (K,) array, optional
            How often each pair is asked, finite and >= 0; divided by the sum. None means alike.
        groups : (K,) array, optional
            Labels by which loss and accuracy are reported, e.g. classes of frequency.

        Returns
        -------
        LinearAssociativeMemory
            This memory.

        Raises
        ------
        ValueError
            For shapes that do not match, NaN or infinity, frequencies that sum to 0, and a step
            size under which W leaves the range of floats. The memory is unchanged then.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit.

        Warns
        -----
        RuntimeWarning
            If gradient descent's ``lr`` times the curvature (``max f`` for orthonormal rows) is
            above 2, and if the loss ends above that of W = 0.
        """
        return self._train(queries, answers, frequency, groups, one_more=False)

    @_docs.like(fit)
    def partial_fit(
        self, queries: Any, answers: Any, frequency: Any = None, *, groups: Any = None
    ) -> LinearAssociativeMemory:
        """Take one step from the W at hand on the pairs given.

        The pairs may differ from the last call's (`predict_proba` is about the last ones), their
        widths may not. With label noise and no ``lr`` the step is that of ``n_steps`` in all.
        """
        return self._train(queries, answers, frequency, groups, one_more=True)

    def _train(
        self, queries: Any, answers: Any, frequency: Any, groups: Any, *, one_more: bool
    ) -> LinearAssociativeMemory:
        given_q, given_a = pairs(queries, answers)
        for x, name in ((given_q, "queries"), (given_a, "answers")):
            with np.errstate(over="ignore"):
                if not np.isfinite(np.square(x, dtype=np.float64).sum()):
                    raise ValueError(
                        f"squares of the {name} leave the range of float64; scale them"
                    )
        f = _check.weights.masses(
            frequency, len(given_q), "frequency", "sums to 0; at least one pair must be asked"
        )
        names, group = labels(groups, len(given_q))
        e, a = given_q.astype(np.float64), given_a.astype(np.float64)
        shape = (a.shape[1], e.shape[1])
        begun: Trained | None = self._store.now if one_more or self.warm_start else None
        n_steps = 1 if one_more else self.n_steps
        if begun is not None and begun.w.shape != shape:
            raise ValueError(
                f"queries and answers have {shape[1]} and {shape[0]} columns, "
                f"the memory was trained on {begun.w.shape[1]} and {begun.w.shape[0]}"
            )
        _check.fits((len(e), len(e)), np.dtype(np.float64), "probabilities of the pairs")
        start = _check.empty(shape, np.dtype(np.float64), "W") if begun is None else begun.w
        if begun is None:
            start[...] = 0.0
        lr = self._step_size(e, a, f)
        record = Record(f, names, group, given_a)
        w, history = self._steps(e, a, f, start, lr, n_steps, record)
        if begun is not None and one_more and np.array_equal(names, begun.groups):
            # What partial_fit does is one more entry of the same history.
            history = begun.history.then(history)
        w.flags.writeable = False
        self._store.now = Trained(w, given_q, given_a, f, names, lr, history)
        return self

    def _steps(
        self, e: Float, a: Float, f: Float, start: Float, lr: float, n_steps: int, record: Record
    ) -> tuple[Float, History]:
        """Run the steps and return the new W and what was recorded of them."""
        reduce = not (self.optimizer == "signgd" and self.basis == "ambient")
        left, a = span(a) if reduce else (None, a)
        right, e = span(e) if reduce else (None, e)
        w = inward(left, start, right)
        first = w.copy()
        bar = (
            _console.progress(f"training with {self.optimizer}", n_steps)
            if self.progress
            else nullcontext(lambda _doing: None)
        )
        with bar as done, np.errstate(over="ignore", invalid="ignore"):
            for step in range(n_steps + 1):
                logits = a @ w @ e.T
                # Their differences and the sums of these must be finite, too.
                if not np.isfinite(2.0 * len(logits) * logits).all():
                    raise ValueError(
                        f"training diverged at step {step}: lr={lr:g} takes W out of the range of "
                        f"floats; lower lr"
                    )
                residual = record.add(logits, self.label_noise)
                if step == n_steps:
                    break
                w = w - lr * self._direction(residual, e, a, f)
                done(f"loss {record.losses[-1]:.3g}")
        if not start.any() and record.losses[-1] > record.losses[0]:
            warnings.warn(
                f"the loss rose from {record.losses[0]:.4g} to {record.losses[-1]:.4g}: "
                f"lr={lr:g} is too large for {n_steps} steps of {self.optimizer!r}",
                RuntimeWarning,
                stacklevel=4,
            )
        return start + outward(left, w - first, right), record.arrays()

    def _direction(self, residual: Float, e: Float, a: Float, f: Float) -> Float:
        """Return what a step subtracts, per unit of step size; ``residual`` is p^ - p."""
        if self.optimizer == "signgd" and self.basis == "task":
            return np.asarray(a.T @ (np.sign(residual) * (f > 0)) @ e)
        gradient: Float = a.T @ (residual * f) @ e
        if self.optimizer == "gd":
            return gradient
        if self.optimizer == "ngd":
            return gradient / (float(np.linalg.norm(gradient)) or 1.0)
        if self.optimizer == "signgd":
            return np.asarray(np.sign(gradient))
        if self.matrix_sign == "svd":
            return matrix_sign(gradient)
        return newton_schulz(gradient, self.newton_schulz_steps)

    def _step_size(self, e: Float, a: Float, f: Float) -> float:
        """Return ``lr``, or the documented default, warning where gradient descent overshoots."""
        k = len(e)
        if self.optimizer == "gd":
            bend = curvature(a) * curvature(e * np.sqrt(f)[:, None])
            if self.lr is None:
                return 1.0 / (bend or 1.0)
            if self.lr * bend > 2 * (1 + 1e-9):
                warnings.warn(
                    f"lr={self.lr:g} times the curvature {bend:.3g} (the largest frequency, "
                    f"for orthonormal rows) is {self.lr * bend:.3g}; above 2 gradient descent "
                    f"can overshoot, take lr <= {2 / bend:.3g}",
                    RuntimeWarning,
                    stacklevel=4,
                )
            return self.lr
        if self.lr is not None:
            return self.lr
        size_a, size_e = (math.sqrt(float((x**2).sum(axis=1).mean())) or 1.0 for x in (a, e))
        pace = theory.muon_learning_rate(k, self.label_noise, self.n_steps)
        if self.optimizer == "ngd":
            return pace * math.sqrt(k) / (size_a * size_e)
        if self.optimizer == "muon":
            return pace / (size_a * size_e)
        if self.basis == "task":
            return pace / (2 * size_a**2 * size_e**2)
        return pace * math.sqrt(math.pi * k / (2 * a.shape[1] * e.shape[1])) / (size_a * size_e)

    # -- answering --------------------------------------------------------------------------------

    def _trained(self) -> Trained:
        now: Trained | None = self._store.now
        if now is None:
            raise ValueError("the memory is not trained; call fit first")
        return now

    def _logits(self, queries: Any, now: Trained, threads: int | None) -> tuple[Float, Kind]:
        n_threads = resolve_threads(threads)
        q, single = _check.cues(queries, "queries")
        _check.same_width(q, "queries", now.w.shape[1], "the memory was trained on")
        _check.finite(q, "queries")
        asked = dot(q.astype(np.float64, copy=False), now.w, n_threads)
        logits = dot(asked, now.values.astype(np.float64), n_threads)
        return logits, Kind("numbers", single=single)

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Return the logits ``a_i^T W q`` of each stored answer, (Q, K) or (K,)."""
        logits, kind = self._logits(cues, self._trained(), threads)
        return np.asarray(kind.answer(logits))

    def weights(self, cues: Any, *, threads: int | None = None) -> Float:
        """Return the probability of each stored answer: `predict_proba` by the common name."""
        return self.predict_proba(cues, threads=threads)

    def _why_no_energy(self) -> str:
        return "an answer is one softmax over the stored ones, there is no state that descends"

    def predict_proba(self, queries: Any, *, threads: int | None = None) -> Float:
        """Return the probability of each stored answer, (Q, K) or (K,), rows summing to 1.

        Parameters
        ----------
        queries : (Q, d) or (d,) array
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, K) or (K,) float64 array

        Raises
        ------
        ValueError
            If the memory is not trained, widths differ, or a query has a NaN or infinity.
        """
        logits, kind = self._logits(queries, self._trained(), threads)
        share = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        share /= share.sum(axis=1, keepdims=True)
        return np.asarray(kind.answer(share))

    @_docs.like(predict_proba)
    def recall(self, queries: Any, *, details: bool = False, threads: int | None = None) -> Any:
        """Return the most probable answer of each query, (Q, o) or (o,), bit for bit as stored.

        Ties go to the lowest index. With ``details`` it is a `Recall`, whose ``log_scale`` is
        ``ln sum_i exp(a_i^T W q)``; there is no energy.

        Parameters
        ----------
        details : bool, default False
            Whether to return a `Recall`.

        Returns
        -------
        (Q, o) or (o,) array, or Recall
        """
        details = _check.flag(details, "details")
        now = self._trained()
        logits, kind = self._logits(queries, now, threads)
        state = kind.answer(now.values[logits.argmax(axis=1)])
        if not details:
            return state
        top = logits.max(axis=1, initial=-np.inf)
        return Recall.of(
            kind,
            state,
            n_iter=np.ones(len(logits), np.int64),
            converged=np.ones(len(logits), bool),
            log_scale=top + np.log(np.exp(logits - top[:, None]).sum(axis=1)),
        )

    @_docs.like(recall)
    def predict(self, queries: Any, *, threads: int | None = None) -> Array:
        """Return the most probable answer of each query; `recall` under scikit-learn's name."""
        return np.asarray(self.recall(queries, threads=threads))

    @_docs.like(predict_proba)
    def score(self, queries: Any, answers: Any, *, threads: int | None = None) -> float:
        """Return the share of queries whose predicted answer equals the row of ``answers``.

        Parameters
        ----------
        answers : (Q, o) array

        Returns
        -------
        float
        """
        q, expected = pairs(queries, answers)
        _check.same_width(
            expected, "answers", self._trained().values.shape[1], "the memory answers with"
        )
        return float((self.predict(q, threads=threads) == expected).all(axis=1).mean())

    # -- looking at it ----------------------------------------------------------------------------

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        raise ValueError("store: this memory is trained; call fit(queries, answers)")

    def _check_merge(self, other: Any) -> None:
        raise ValueError(
            "merge: two trained matrices do not add up to one; fit on the pairs of both memories"
        )

    def _contents(self) -> str:
        o, d = self.W_.shape
        return f"{len(self)} pairs, {d} -> {o} columns, loss {self.loss_[-1]:.3g}"

    def __repr__(self) -> str:
        """Say how the memory is trained and on what."""
        if len(self):
            return super().__repr__()
        return f"<{type(self).__name__}({self._described()}): not trained>"
