"""The dynamics of the universal Hopfield network: equations 2 to 4 of its paper."""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check, _docs, parts
from amfast._engine.scoring import blanked, cue_tiles
from amfast._stores.items import Batch, Items, Stored
from amfast._threads import resolve_threads
from amfast._typing import Array, Float, Mask
from amfast.bits import Kind
from amfast.memories.base import Memory
from amfast.memories.neural.forces import FORCES
from amfast.memories.neural.motion import BEYOND, ROUNDING, Network
from amfast.memories.neural.path import NeuralPath
from amfast.memories.recall import Recall
from amfast.memories.universal.standard import Standard
from amfast.parts.similarities import FEW_ROWS, refuse_distance

VISIBLE = ("identity", "sign", "l2")


class NeuralDynamics(Memory):
    """Visible and hidden neurons that fall down one energy in continuous time.

    A visible neuron v_j for every column and a hidden one h_i for every stored pattern m_i, with
    outputs ``g = g(v)`` and ``f = f(h)``, the separation. With ``s_i = similarity(m_i, g)`` and a
    constant external input I (Millidge et al., *Universal Hopfield Networks*, ICML 2022, section 4,
    equations 2 and 3, in the manner of Krotov and Hopfield, ICLR 2021):

        ``tau_v dv/dt = sum_i f_i ds_i/dg + I - v``

        ``tau_h dh/dt = f'(h) (s - h)``

        ``E(v, h) = [(v - I).g - L_v(v)] + [h.f - L_h(h)] - f.s``

    The Lagrangians ``L_v`` and ``L_h`` have g and f for gradients. E never rises. With hidden
    neurons at rest, ``h = s``, it is ``(v - I).g - L_v(v) - L_h(s)``, equation 4: that of
    `UniversalHopfield.energy`, of which a step of recall under "dot" is one Euler step of tau_v.

    Parameters
    ----------
    similarity : str or Similarity, default "dot"
        "dot", or a distance d, which scores as -d: "sqeuclidean", "euclidean", "cosine",
        "manhattan", "kl", "reverse_kl", "jensenshannon". Of your own, ``am.Similarity(fn,
        gradient=...)``. Without a gradient ("hamming", a bare function): ValueError.
    separation : str or Separation, default "softmax"
        As of `UniversalHopfield`, its weights as they are (not divided by their sum but for
        softmax, top k, sparsemax and entmax). A bare function has no Lagrangian: ValueError.
    beta : float, optional
        Shorthand for the softmax's inverse temperature, finite and > 0; None means 1.
    visible : {"identity", "sign", "l2"}, default "identity"
        g: v itself, ``L_v = |v|^2 / 2``; its signs, ``|v|_1``; ``v / |v|``, ``|v|``. For the last
        two the equation of v is the paper's divided by ``g'(v)``, which is 0 almost everywhere for
        signs.
    tau_v, tau_h : float, default 1.0 and 0.1
        Time constants of visible and hidden neurons, > 0.
    local : bool, default False
        Whether ``tau_h dh/dt = s - h``: Krotov and Hopfield's form, in which a hidden neuron sees
        no other one. E falls where L_h is convex (the Hessian of the paper's appendix A); it can
        rise for even powers of negative scores.
    eps : float, optional
        Smoothing of "kl" and "reverse_kl", see `UniversalHopfield`; default 1e-4.
    max_items : int, optional
        How many items are kept: when one more is stored, the oldest goes.

    Raises
    ------
    ValueError
        For a similarity without a gradient, a separation without a Lagrangian, time constants that
        are not positive, and what `UniversalHopfield` refuses.

    See Also
    --------
    UniversalHopfield : The same in discrete steps, and much faster.

    Notes
    -----
    **Fixed points** are ``v = sum_i f_i ds_i/dg + I``. One memory that has all the weight is
    recalled as itself under "dot", as 2/3 of itself under "sqeuclidean" (whose force is
    ``2 (m - v)``, beside the ``-v`` that pulls to 0), and under "manhattan" in every entry of
    magnitude at most 1: scale images to 0..1. "cosine" and the KL family do not look at the length
    of v, which so decays to 0; ``visible="l2"`` keeps it. States of the KL family never become
    negative.

    **What has no lower bound runs away**: powers and exponentials of large dot products, and the
    identity of distances, whose negative f push. Such a cue stops where it leaves the range of
    floats, at the time ``path.escaped``.

    **Under "manhattan"** a step sorts, for each cue, the items whose pull is felt: quick where few
    are, slow where a thousand images share the weight.

    **Hidden neurons of which f' is 0** ("max", top k without beta, `Threshold`) stand still in the
    paper's form, as the cue set them; ``local=True`` moves them.

    Every store weighs items as `UniversalHopfield` does; `TopK` with unequal weights is no gradient
    and refused. Computed in float64, a tile of cues at a time.

    Examples
    --------
    >>> import numpy as np, amfast as am
    >>> images = am.datasets.load("fashion_mnist_small", n=20).patterns()  # (20, 784) in 0..1
    >>> memory = am.NeuralDynamics("manhattan", beta=1.0)
    >>> ids = memory.store(images)
    >>> path = memory.run(am.corrupt.gaussian(images, 0.3, mode="clip", seed=0), t=10.0)
    >>> path.visible.shape, int(path.rises.sum())
    ((20, 201, 784), 0)
    >>> bool(np.abs(path.state - images).max() < 0.01)
    True
    """

    _store: Items
    _made_of = "parts"

    def __init__(
        self,
        similarity: str | parts.Similarity | parts.ScoreFunction = "dot",
        separation: str | parts.Separation | parts.WeightFunction = "softmax",
        *,
        beta: float | None = None,
        visible: str = "identity",
        tau_v: float = 1.0,
        tau_h: float = 0.1,
        local: bool = False,
        eps: float | None = None,
        max_items: int | None = None,
    ) -> None:
        part = parts.similarity(similarity)
        if part.metric not in FORCES and part.gradient is None:
            raise ValueError(
                f"the similarity {part.name!r} has no gradient, by which visible neurons move; "
                f"choose one of {', '.join(FORCES)}, or am.Similarity(fn, gradient=...)"
            )
        separate = parts.separation(separation, beta)
        if type(separate) is parts.Separation:
            raise ValueError(
                f"{separate!r} is a function and has no Lagrangian; choose a separation by name or "
                "from amfast.parts"
            )
        if separate.beta == 0 and separate.n_best is None:
            raise ValueError(f"{separate!r} with beta = 0 has no Lagrangian; beta must be > 0")
        self._model = Standard.of(part, separate, False, eps)
        self._visible = _check.choice(visible, "visible", VISIBLE)
        if visible == "sign" and self._model.distributions:
            raise ValueError(f"{part.metric} compares distributions, which signs are not")
        self._taus = (
            _check.number(tau_v, "tau_v", 0.0, above=True),
            _check.number(tau_h, "tau_h", 0.0, above=True),
        )
        self._local = _check.flag(local, "local")
        self._store = self._model.items()
        if max_items is not None:
            max_items = self._store.max_items = _check.integer(max_items, "max_items", 1)
        self._given = {
            "beta": None, "visible": visible, "tau_v": self._taus[0], "tau_h": self._taus[1],
            "local": self._local, "eps": eps, "max_items": max_items,
        }  # fmt: skip

    def _parameters(self) -> dict[str, Any]:
        return {
            "similarity": self._model.similarity,
            "separation": self._model.separation,
            **self._given,
        }

    def _described(self) -> str:
        text = f"{self._model.similarity.name!r}, {self._model.separation!r}"
        if self._visible != "identity":
            text += f", visible={self._visible!r}"
        return text + ", local=True" * self._local + self._bounded()

    def _contents(self) -> str:
        now = self._stored()
        return f"{len(self)} items, {now.width} columns of {now.keys.dtype}"

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        if values is not None:
            raise ValueError(
                "values: the visible neurons are the columns of the keys, so that NeuralDynamics "
                "recalls keys alone; UniversalHopfield takes values"
            )
        rows = _check.rows(keys, "keys")
        if self._store.now is not None:
            _check.same_width(rows, "keys", self._store.now.width, "the memory stores")
        w = None if weights is None else _check.item_weights(weights, len(rows))
        if w is not None and not w.all():
            rows = blanked(rows, w == 0)
        _check.finite(rows, "keys")
        self._model.check_domain(rows, "keys")
        return Batch(rows, None, w)

    # -- running ----------------------------------------------------------------------------------

    def run(
        self,
        cues: Any,
        t: float = 10.0,
        inputs: Any = None,
        details: bool = True,
        *,
        n_steps: int = 200,
        threads: int | None = None,
    ) -> Any:
        """Let the neurons move from cues, hidden ones at rest, for a time.

        Each of ``n_steps`` equal steps moves the visible neurons by the exact solution of a linear
        force, or a proximal step (Manhattan's kinks), then the hidden ones by a linearly implicit
        step. Where the energy would rise all the same, a half is covered in smaller pieces; a row
        that needs more than 100, or one below 2^-12 of the step, rests for what is left of it. So
        states are accurate to first order in ``t / n_steps`` while E falls at any: double n_steps
        to see how accurate they are.

        Parameters
        ----------
        cues : (Q, d) or (d,) array
            The visible neurons at time 0.
        t : float, default 10.0
            How long, in the unit of the time constants; > 0.
        inputs : (Q, d) or (d,) array, optional
            The external input I, constant in time; one row serves all cues. None means 0.
        details : bool, default True
            Whether to return the path; otherwise its ``state`` alone, and no path is held.
        n_steps : int, default 200
            Steps, >= 1: T is one more.
        threads : int, optional
            None means the setting.

        Returns
        -------
        NeuralPath, or (Q, d) or (d,) float64 array
            ``time`` (T,), ``visible`` (Q, T, d), ``energy`` (Q, T), ``rises`` (Q,), ``state``
            (Q, d), ``hidden`` (Q, N), ``escaped`` (Q,).

        Raises
        ------
        ValueError
            If the memory is empty, shapes do not match, anything is NaN or infinite, t is not
            positive, the energy of a cue is beyond floats, a gradient returns what it must not, or
            a separation meets a score it is not defined for; if a function that nobody called a
            distance turns out to be one.
        MemoryError
            If the path does not fit.
        """
        t = _check.number(t, "t", 0.0, above=True)
        n_steps = _check.integer(n_steps, "n_steps", 1)
        details = _check.flag(details, "details")
        now, network = self._network(threads)
        v, kind = self._cues(cues, "cues", now)
        given = self._inputs(inputs, v.shape, kind)
        size = n_steps + 1 if details else 1
        visible = _check.empty((len(v), size, now.width), np.dtype(np.float64), "the path")
        energy, rises = np.empty((len(v), size)), np.zeros(len(v), np.int64)
        hidden = _check.empty((len(v), now.n_items), np.dtype(np.float64), "hidden neurons")
        escaped = np.full(len(v), np.inf)
        for tile in cue_tiles(len(v), max(now.n_items, now.width)):
            _follow(
                network, v[tile], given[tile], t / n_steps, n_steps,
                visible[tile], energy[tile], rises[tile], hidden[tile], escaped[tile],
            )  # fmt: skip
        state = network.output(visible[:, -1])
        if not details:
            return kind.answer(state)
        rows = (visible, energy, rises, state, hidden, escaped)
        return NeuralPath(
            np.linspace(0.0, t, n_steps + 1), *(x[0] if kind.single else x for x in rows)
        )

    @_docs.like(run)
    def recall(
        self,
        cues: Any,
        *,
        t: float = 10.0,
        inputs: Any = None,
        n_steps: int = 200,
        details: bool = False,
        threads: int | None = None,
    ) -> Any:
        """Recall where the neurons are after a time: the ``state`` of `run`.

        With ``details`` it is a `Recall` with ``state``, ``energy`` and ``energy_trace`` (Q, T).

        Parameters
        ----------
        details : bool, default False
            Whether to return a `Recall`.

        Returns
        -------
        (Q, d) or (d,) array, or Recall
        """
        details = _check.flag(details, "details")
        found = self.run(cues, t, inputs, details, n_steps=n_steps, threads=threads)
        if not details:
            return found
        return Recall(found.state, energy=found.energy[..., -1], energy_trace=found.energy)

    def energy(
        self, states: Any, h: Any = None, *, inputs: Any = None, threads: int | None = None
    ) -> Any:
        """Energy E(v, h) of visible and hidden neurons, (Q,) float64 or a float: equation 3.

        Parameters
        ----------
        states : (Q, d) or (d,) array
            The visible neurons v.
        h : (Q, N) or (N,) array, optional
            The hidden neurons; None means at rest, ``h = s``: equation 4.
        inputs : (Q, d) or (d,) array, optional
            As of `run`.
        threads : int, optional
            None means the setting.

        Raises
        ------
        ValueError
            As `run`; if an energy leaves the range of floats.
        """
        now, network = self._network(threads)
        v, kind = self._cues(states, "states", now)
        given = self._inputs(inputs, v.shape, kind)
        hidden = self._hidden(h, v, network, kind)
        s = network.scores(network.output(v))
        found = network.energy(v, hidden, s, given).value
        _refuse_beyond(np.asarray(np.isfinite(found)), "states")
        return kind.number(found)

    @_docs.like(energy)
    def field(
        self, v: Any, h: Any = None, *, inputs: Any = None, threads: int | None = None
    ) -> tuple[Array, Array]:
        """Velocities ``dv/dt`` (Q, d) and ``dh/dt`` (Q, N), or of one row: equation 2.

        Parameters
        ----------
        v : (Q, d) or (d,) array
            The visible neurons.

        Returns
        -------
        dv : (Q, d) or (d,) array
        dh : (Q, N) or (N,) array
        """
        now, network = self._network(threads)
        rows, kind = self._cues(v, "v", now)
        given = self._inputs(inputs, rows.shape, kind)
        hidden = self._hidden(h, rows, network, kind)
        s = network.scores(network.output(rows))
        f = network.hidden(hidden)
        _refuse_beyond(np.asarray(np.isfinite(f).all(axis=1)), "v")
        dv = (network.force(rows, f, s) + given - rows) / self._taus[0]
        dh = network.hidden_velocity(hidden, s) / self._taus[1]
        return kind.answer(dv), kind.answer(dh)

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Score the output of visible neurons, larger is better, (Q, N) or (N,)."""
        now, network = self._network(threads)
        v, kind = self._cues(cues, "cues", now)
        return np.asarray(kind.answer(network.scores(network.output(v))))

    def weights(self, cues: Any, *, threads: int | None = None) -> Array:
        """Return the outputs f of hidden neurons at rest, (Q, N) or (N,), as they are."""
        now, network = self._network(threads)
        v, kind = self._cues(cues, "cues", now)
        return np.asarray(kind.answer(network.hidden(network.scores(network.output(v)))))

    # -- the edge ---------------------------------------------------------------------------------

    def _network(self, threads: int | None) -> tuple[Stored, Network]:
        """Return what is stored and its neurons, or refuse."""
        n_threads = resolve_threads(threads)
        now, model = self._stored(), self._model
        model.separation.check(now.n_items, model.larger_is_better)
        if model.similarity.metric is None:
            refuse_distance(model.similarity, now.keys[:FEW_ROWS].astype(np.float64))
        if model.separation.n_best is not None:
            live = now.weights[now.weights > 0]
            why = model.separation.why_no_energy(bool((live == live[:1]).all()))
            if why:
                raise ValueError(f"no Lagrangian: {why}")
        return now, Network(model, self._visible, self._taus, self._local, now, n_threads)

    def _cues(self, given: Any, name: str, now: Stored) -> tuple[Float, Kind]:
        """Check visible neurons."""
        rows, single = _check.cues(given, name)
        _check.same_width(rows, name, now.width, "the memory stores")
        _check.finite(rows, name)
        self._model.check_domain(rows, name)
        return rows.astype(np.float64), Kind("numbers", single=single)

    def _inputs(self, given: Any, shape: tuple[int, ...], kind: Kind) -> Float:
        """Check inputs, (Q, d)."""
        if given is None:
            return np.zeros(shape)
        return _beside(given, "inputs", shape, kind, one_for_all=True)

    def _hidden(self, given: Any, v: Float, network: Network, kind: Kind) -> Float:
        """Check hidden neurons, (Q, N), or put them at rest."""
        if given is None:
            return network.scores(network.output(v))
        return _beside(given, "h", (len(v), network.items.n_items), kind, one_for_all=False)


def _beside(given: Any, name: str, shape: tuple[int, ...], kind: Kind, one_for_all: bool) -> Float:
    """Read rows that go with cues."""
    rows, single = _check.cues(given, name)
    fits = single if one_for_all else kind.single and single
    if rows.shape[1] != shape[1] or (len(rows) != shape[0] and not fits):
        also = f" or ({shape[1]},)" if one_for_all or kind.single else ""
        raise ValueError(f"{name} must have shape {shape}{also}, got {np.shape(given)}")
    _check.finite(rows, name)
    return np.broadcast_to(rows, shape).astype(np.float64)


def _refuse_beyond(fine: Mask, name: str) -> None:
    bad = np.flatnonzero(~fine)
    if len(bad):
        raise ValueError(f"{name} row {bad[0]} has an energy beyond floats; scale the data")


def _follow(
    network: Network, v: Float, inputs: Float, step: float, n_steps: int,
    visible: Float, energy: Float, rises: Array, hidden: Float, escaped: Float,
) -> None:  # fmt: skip
    """Move some rows, and write down where they were: in all columns, or at the end in the one."""
    s = network.scores(network.output(v))
    h = s.copy()
    now = network.energy(v, h, s, inputs)
    _refuse_beyond(np.asarray(now.size < BEYOND), "cues")
    here = np.flatnonzero(np.isinf(escaped))
    visible[:, 0], energy[:, 0] = v, now.value
    for n in range(1, n_steps + 1):
        seen = network.move_visible(v[here], network.hidden(h[here]), s[here], inputs[here], step)
        heard = network.move_hidden(h[here], seen.beside, step)
        v[here], s[here], h[here] = seen.rows, seen.beside, heard.rows
        after = network.energy(v, h, s, inputs)
        rises += after.above(now, ROUNDING)
        now = after
        lost = here[seen.lost | heard.lost]
        escaped[lost] = n * step
        here = np.flatnonzero(np.isinf(escaped))
        column = n if visible.shape[1] > 1 else 0
        visible[:, column], energy[:, column] = v, now.value
    hidden[:] = h
