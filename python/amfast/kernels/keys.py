"""Keys that are packed for a metric once and asked many times."""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

import numpy as np

from amfast import _check, _core, bits
from amfast._check.savable import Savable
from amfast._engine import coding
from amfast._engine.coding import Coded
from amfast._engine.knowing import wants_rows
from amfast._engine.scoring import asked_type, engine_rows, packs
from amfast._stores.items import check_rows
from amfast._stores.rows import Rows
from amfast._stores.stored import rows_of, unpacked
from amfast._stores.turns import Turn
from amfast._threads import resolve_threads
from amfast._typing import Array
from amfast.bits import BitMatrix, Kind
from amfast.parts import metrics
from amfast.parts.metrics import METRICS


class Held(NamedTuple):
    """Keys as a kernel takes them: checked rows, and beside them what was packed before."""

    rows: Array | BitMatrix
    packed: _core.Keys | None = None
    kind: Kind | None = None
    """How bits were given, None of numbers."""
    given: object = None
    """The array that bits came in; None where they are held alone."""
    codes: bool | _core.Codes | None = None
    """Codes of the rows, or False if there are to be none; None lets the call decide."""

    def engine(self, dtype: np.dtype[Any]) -> Array | _core.Keys:
        """Return what the engine reads beside queries of a type."""
        if self.packed is not None and isinstance(self.rows, np.ndarray):
            if dtype == asked_type(self.rows.dtype):
                return self.packed
        return engine_rows(self.rows)

    def known(self, dtype: np.dtype[Any], metric: str | None) -> Array | _core.Keys:
        """Return what it reads beside queries of a type of which some columns are known."""
        return engine_rows(self.rows) if wants_rows(self.rows, metric) else self.engine(dtype)

    def coded(self, metric: str, codes: bool | None, n_cues: int, threads: int) -> Coded | None:
        """Return codes of the rows, if so many queries are to try a first pass over them."""
        rows, made = self.rows, self.codes
        if codes is False or isinstance(rows, BitMatrix):
            return None
        if isinstance(made, _core.Codes):
            return Coded(made, engine_rows(rows))
        if not self.codes_wanted(metric, n_cues, codes):
            return None
        return coding.coded(rows, metric, threads)

    def codes_wanted(self, metric: str, n_cues: int, codes: bool | None = None) -> bool:
        """Whether so many queries pay for coding the rows."""
        rows = self.rows
        if codes is None and (self.codes is False or rows.shape[0] * rows.shape[1] < coding.LEAST):
            return False
        return isinstance(rows, np.ndarray) and coding.wanted(rows, metric, codes, n_cues)

    def values(self) -> Array | BitMatrix:
        """Return the keys as the numbers that were given; bools are 0 and 1."""
        if self.kind is None or self.kind.dtype is None:
            return self.rows
        given = self.kind.answer(self.rows) if self.given is None else self.given
        x = _check.read(given, "keys")
        return _check.rows(x.astype(np.uint8) if x.dtype.kind == "b" else x, "keys")


class Keys(Savable):
    """Keys packed once, for one metric, which kernels take in place of an array.

    `pairwise`, `topk`, `within`, `retrieve`, `partial`, `self_topk` and `pairs_within` answer as
    they do for the array, bit for bit, without preparing the keys at every call. For a query or a
    few that saves half of the time of ``dot``, and more than nine tenths of metrics that take norms
    or logarithms of every key (``cosine``, ``kl``); thousands of queries hide it anyway.

    Parameters
    ----------
    keys : (N, d) array or BitMatrix
        Copied. There may be none, N = 0, until some are appended.
    metric : str
        One of `amfast.kernels`; the Keys serve this one alone.
    codes : bool, optional
        Whether the keys are coded in 8 bits beside, which takes a quarter of the memory of float32
        ones: searches then begin with a pass over the codes, and answer the same sooner (see
        `topk`). None codes floats of 2^20 numbers and more.

    Raises
    ------
    ValueError
        For NaN or infinity (naming the row), an unknown metric, and rows that are none of the
        metric's: not binary, or no distributions.
    TypeError
        For element types that are no real numbers.
    MemoryError
        If a copy would not fit.

    Notes
    -----
    The rows are held beside what is packed, which float32 and float64 keys are, and bytes where the
    engine scores them by exact integers; the others, bits, rows longer than 512 kB and what is
    mapped from a file are read as they are stored, which is as fast or takes less memory than a
    widened copy of all. Queries of another element type than the keys are scored against the rows.

    One thread may append while others ask: a call sees the keys that there were when it began.

    Examples
    --------
    >>> import amfast as am
    >>> keys = am.Keys([[3.0, 4.0], [1.0, 0.0]], "l1")
    >>> keys.append([[0.5, 0.0]])
    <Keys for 'manhattan': 3 rows of 2 float64>
    >>> am.topk([0.0, 0.0], keys, 2, "manhattan")
    (array([0.5, 1. ]), array([2, 1]))
    """

    def __init__(self, keys: Any, metric: str, *, codes: bool | None = None) -> None:
        self._metric = metrics.resolve(metric)
        self._codes = coding.choice(codes)
        read = self._read(keys)
        self._hold(Rows.of(unpacked(read.rows)[0]), read)

    def _read(self, keys: Any) -> Held:
        """Read rows that are to be held."""
        read = read_keys(keys, self._metric)
        if isinstance(read.rows, np.ndarray):
            _check.finite(read.rows, "keys")
        return read

    def _hold(self, stored: Rows, read: Held) -> None:
        """Hold rows, packed from the first on."""
        self._n_bits = read.rows.n_bits if isinstance(read.rows, BitMatrix) else None
        self._turn = Turn()
        self._now = stored, self._held(stored, None, read.kind, None)

    def _held(
        self,
        stored: Rows,
        packed: _core.Keys | None,
        kind: Kind | None,
        codes: bool | _core.Codes | None,
    ) -> Held:
        """Return stored rows, packed and coded; of either some may be there already."""
        view = stored.view
        if self._n_bits is not None:
            return Held(rows_of(view, self._n_bits), None, kind)
        if len(view) and not stored.in_place and packs(view, self._metric):
            if packed is None:
                packed = _core.Keys(engine_rows(view), self._metric)
            elif len(packed) < len(view):
                packed = packed.extended(engine_rows(view[len(packed) :]))
        before = codes if isinstance(codes, _core.Codes) else None
        by = None
        if not (stored.in_place and self._codes is None) and codes is not False:
            if len(view) and coding.wanted(view, self._metric, self._codes):
                by = coding.coded(view, self._metric, resolve_threads(None), before)
        return Held(view, packed, codes=False if by is None else by.codes)

    def append(self, keys: Any) -> Keys:
        """Add keys behind those that are there, and return itself.

        Parameters
        ----------
        keys : (M, d) array or BitMatrix
            As the first ones; a wider element type widens them all.

        Returns
        -------
        Keys
            Itself.

        Raises
        ------
        ValueError
            As for the first ones, and for another width or another coding of bits. Nothing is added
            then.
        """
        read = self._read(keys)
        with self._turn:
            stored, held = self._now
            if read.rows.shape[1] != held.rows.shape[1]:
                raise ValueError(
                    f"keys have {read.rows.shape[1]} columns, those that are held have "
                    f"{held.rows.shape[1]}"
                )
            kind = self._same_kind(held, read)
            more, _ = unpacked(read.rows)
            same = _check.widen(stored.view.dtype, more.dtype) == stored.view.dtype
            grown = stored.plus(more)
            packed, codes = (held.packed, held.codes) if same else (None, None)
            n, d = held.rows.shape
            if codes is False and self._codes is None and n * d < coding.LEAST:
                codes = None  # they were too few to be tried
            self._now = grown, self._held(grown, packed, kind, codes)
        return self

    @staticmethod
    def _same_kind(held: Held, read: Held) -> Kind | None:
        """Return how bits are given, the same for all of them; the first rows decide."""
        if len(held.rows) == 0 or len(read.rows) == 0 or held.kind == read.kind:
            return held.kind if len(held.rows) else read.kind
        assert held.kind is not None and read.kind is not None
        mine, theirs = (" ".join(map(str, kind.saved())) for kind in (held.kind, read.kind))
        raise ValueError(f"keys are {theirs}, those that are held are {mine}")

    def held(self, metric: str | None) -> Held:
        """Return what there is now, for a kernel; refuse another metric.

        Parameters
        ----------
        metric : str or None
            The one that is asked for; None asks for any.

        Returns
        -------
        Held

        Raises
        ------
        ValueError
            For another metric.
        """
        if metric != self._metric:
            asked = "a Python function" if metric is None else repr(metric)
            raise ValueError(f"the keys are packed for {self._metric!r}, not for {asked}")
        return self._now[1]

    @property
    def metric(self) -> str:
        """The metric they are packed for."""
        return self._metric

    @property
    def shape(self) -> tuple[int, int]:
        """(N, d); d counts bits where the metric does."""
        n, d = self._now[1].rows.shape
        return int(n), int(d)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, room for growth included, and of what is packed and coded."""
        stored, held = self._now
        made = (held.packed, held.codes if isinstance(held.codes, _core.Codes) else None)
        return stored.nbytes + sum(x.nbytes for x in made if x is not None)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._now[1].rows)

    def __repr__(self) -> str:
        """Say how many of what."""
        rows = self._now[1].rows
        what = "bits" if isinstance(rows, BitMatrix) else rows.dtype.name
        return f"<Keys for {self._metric!r}: {rows.shape[0]} rows of {rows.shape[1]} {what}>"

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be read as an array."""
        raise TypeError("Keys are read by kernels in place of `keys`, with their metric")

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        stored, held = self._now
        kind = None if held.kind is None else held.kind.saved()
        parts = {"metric": self._metric, "codes": self._codes, "n_bits": self._n_bits, "kind": kind}
        return parts, {"keys": stored.view}

    @classmethod
    def _restored(cls, parts: dict[str, Any], arrays: dict[str, Array]) -> Keys:
        made, rows, n_bits = cls.__new__(cls), arrays["keys"], parts["n_bits"]
        made._metric, made._codes = metrics.resolve(parts["metric"]), coding.choice(parts["codes"])
        check_rows("keys", rows, len(rows), n_bits)
        kind = None if parts["kind"] is None else Kind.restored(parts["kind"])
        if not METRICS[made._metric].bits == (n_bits is not None) == (kind is not None):
            raise ValueError(f"{made._metric!r} has no keys of {n_bits} bits and kind {kind}")
        made._hold(Rows.holding(rows), Held(rows_of(rows, n_bits), None, kind))
        return made

    def _check_contents(self) -> None:
        rows = self._now[1].rows
        if isinstance(rows, BitMatrix):
            BitMatrix.from_packed(rows.to_packed(), rows.n_bits)  # looks at the padding

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the rows, which are packed again."""
        parts, arrays = self._saved()
        return type(self)._restored, (parts, {"keys": np.array(arrays["keys"])})


def read_keys(keys: object, metric: str | None) -> Held:
    """Read what a caller hands over as keys of a metric, None for a Python function."""
    if isinstance(keys, Keys):
        return keys.held(metric)
    if metric is not None and METRICS[metric].bits:
        rows, kind = bits.binary(keys, "keys")
        return Held(rows, None, kind, keys)
    return Held(_check.rows(keys, "keys", short=True))
