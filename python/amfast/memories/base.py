"""What all memories do alike: store, merge, delete, look, copy, pickle, say what they are."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypeVar

import numpy as np

from amfast import _check, _docs
from amfast._check.savable import Savable
from amfast._stores.items import Batch, Items, Stored
from amfast._typing import Array, Float, Int
from amfast.memories.alike import as_rows, check_alike, equal, one_row, shown
from amfast.memories.chains import chained
from amfast.memories.files import decoded, encoded
from amfast.memories.votes import voted

M = TypeVar("M", bound="Memory")


class Store(Protocol):
    """What a memory keeps: a monoid, whose neutral element is the empty store.

    Every change builds the new state aside and puts it in place by one assignment, so that a change
    which fails or is interrupted leaves the old one.
    """

    def append(self, batch: Batch) -> Int:
        """Add checked items; return their ids, which are never used again."""

    def merge(self, other: Any) -> None:
        """Add what another store keeps."""

    def delete(self, ids: Int) -> None:
        """Remove items by sorted ids."""

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return all that is kept, as arrays and as names and numbers."""

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Keep what `arrays` returned."""

    @property
    def nbytes(self) -> int:
        """Bytes held."""

    def __len__(self) -> int:
        """Count what is kept."""


class Memory(Savable):
    """An associative memory: parts that say how to recall, and a store that keeps.

    A memory says what it is made of (`_parameters`), reads what is to be stored (`_admit`), and
    recalls. All else is here, once.
    """

    _keeps_no_items: ClassVar[str] = ""
    """The sentence that says why there are no items to delete, show, score or weigh; empty where
    there are."""

    _made_of: ClassVar[str] = "parameters"
    """What tells two memories of one class apart."""

    _settable: ClassVar[tuple[str, ...]] = ()
    """Parameters that may be set anew, to what the constructor takes beside the others."""

    _store: Any
    """What is kept; the constructor sets it last."""

    def __init_subclass__(cls) -> None:
        """Document what a class does its own way as far as it is everybody's."""
        super().__init_subclass__()
        _docs.inherit(cls)

    if not TYPE_CHECKING:  # for type checkers an attribute that is not declared stays a mistake

        def __setattr__(self, name: str, value: Any) -> None:
            """Set an attribute; of a parameter the value is checked, or refused if it is fixed.

            Subclasses of others may keep under such a name what they want.
            """
            ours = type(self).__module__.startswith("amfast.") and name[0] != "_"
            if ours and "_store" in self.__dict__ and name in self._parameters():
                if name in self._settable:
                    value = getattr(type(self)(**self._parameters() | {name: value}), name)
                else:
                    raise AttributeError(
                        f"{name} is what this {type(self).__name__} was made with; make another one"
                    )
            super().__setattr__(name, value)

    # -- what a memory has to say -----------------------------------------------------------------

    def _parameters(self) -> dict[str, Any]:
        """Return the arguments that make an empty memory like this one."""
        raise NotImplementedError

    def _admit(self, keys: Any, values: Any, weights: Any) -> Batch:
        """Check what a caller wants stored; nothing is stored yet."""
        raise NotImplementedError

    def _contents(self) -> str:
        """Say what is held, for `repr`."""
        raise NotImplementedError

    def _described(self) -> str:
        """Say what differs from the defaults, for `repr`."""
        defaults = inspect.signature(type(self)).parameters
        given = self._parameters().items()
        return ", ".join(
            f"{name}={shown(value)}"
            for name, value in given
            if not equal(value, defaults[name].default)
        )

    def _bounded(self) -> str:
        """Name the number of items kept, if there is one, for `repr`."""
        most = self._parameters()["max_items"]
        return "" if most is None else f", max_items={most}"

    @classmethod
    def _kin(cls) -> type[Memory]:
        """Return the class whose memories merge with this one's."""
        return cls

    def _check_merge(self, other: Any) -> None:
        """Refuse a memory that this one cannot take in, beyond other parameters."""
        theirs: Stored | None = other._store.now
        if theirs is not None:
            check_alike(self, theirs.keys, theirs.values if theirs.heteroassociative else None)

    # -- storing ----------------------------------------------------------------------------------

    def store(self, keys: Any, values: Any = None, *, weights: Any = None) -> Int:
        """Add items.

        Parameters
        ----------
        keys : (N, d) array or BitMatrix
            As the class says. One 1-d row is one item, and so is its 1-d value.
        values : (N, o) array or BitMatrix, optional
            What each key recalls; None means the keys themselves (autoassociative). A memory is
            one or the other.
        weights : (N,) array, optional
            How much each item counts, in the range that the class says; None means 1. Weight 3
            equals storing the item three times, weight 0 is never recalled.

        Returns
        -------
        (N,) int64 array
            Ids for `delete`, never used again.

        Raises
        ------
        ValueError
            For shapes that do not match, NaN or infinity, and what the memory cannot hold. Nothing
            is stored then.
        TypeError, MemoryError
            For element types that are no real numbers; for what does not fit. Likewise.
        """
        if one_row(keys):
            keys = as_rows(keys)
            values = as_rows(values) if one_row(values) else values
        try:
            batch = self._admit(keys, values, weights)
        except TypeError as error:
            if np.asarray(values).dtype.kind in "US":
                hint = "labels need not be stored: memory.vote(cues, labels) takes one per item"
                raise TypeError(f"{error}; {hint}") from None
            raise
        if len(batch.keys) == 0:
            return np.empty(0, np.int64)
        ids: Int = self._store.append(batch)
        return ids

    def delete(self, ids: Any) -> None:
        """Remove items by the ids that `store` returned.

        Parameters
        ----------
        ids : int or (M,) int array

        Raises
        ------
        ValueError
            If an id is unknown or named twice, or the memory keeps no items; nothing is removed
            then.
        TypeError
            If ids are not integers.
        """
        self._need_items("delete")
        self._store.delete(_check.item_ids(ids))

    def merge(self: M, other: Any) -> M:
        """Add all items of another memory with the same parameters, in place; they get new ids.

        Parameters
        ----------
        other : Memory
            Stays as it is.

        Returns
        -------
        Memory
            This memory.

        Raises
        ------
        TypeError
            If the other is another kind of memory.
        ValueError
            If parameters, widths or kinds of items differ. Nothing is added then.
        """
        kin = self._kin()
        if not isinstance(other, kin):
            raise TypeError(f"other must be a {kin.__name__}, got {type(other).__name__}")
        if not self._same_parameters(other):
            raise ValueError(f"memories differ in their {self._made_of}: {self!r} and {other!r}")
        if len(other):
            self._check_merge(other)
            self._store.merge(other._store)
        return self

    def _same_parameters(self, other: Any) -> bool:
        mine, theirs = self._parameters(), other._parameters()
        return mine.keys() == theirs.keys() and all(equal(mine[n], theirs[n]) for n in mine)

    # -- looking at it ----------------------------------------------------------------------------

    def __len__(self) -> int:
        """Count what is stored."""
        return len(self._store)

    @property
    def keys(self) -> Any:
        """Stored keys (N, d), as given, read-only; a `BitMatrix` where they are bits."""
        now = self._held("keys")
        return self._no_rows() if now is None else now.keys

    @property
    def values(self) -> Any:
        """Stored values (N, o), read-only; the keys if autoassociative."""
        now = self._held("values")
        return self._no_rows() if now is None else now.values

    @property
    def ids(self) -> Int:
        """Ids of the items (N,), read-only, beside `keys`."""
        now = self._held("ids")
        return np.empty(0, np.int64) if now is None else now.ids

    @property
    def nbytes(self) -> int:
        """Bytes held: what is stored, room for growth, and what the engine packed of it."""
        return int(self._store.nbytes)

    def scores(self, cues: Any, *, threads: int | None = None) -> Array:
        """Refuse, where there are no items to score.

        Parameters
        ----------
        cues : (Q, d) or (d,) array, or BitMatrix
            As `recall` takes them.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q, N) or (N,) array
            In the order of `ids`.

        Raises
        ------
        ValueError
            If the memory is empty or keeps no items, and for cues that `recall` refuses.
        """
        return self._refuse("scores")

    @_docs.like(scores)
    def weights(self, cues: Any, *, threads: int | None = None) -> Float:
        """Refuse, where there are no items to weigh."""
        return self._refuse("weights")

    def vote(self, cues: Any, labels: Any, *, threads: int | None = None) -> Any:
        """Say which label has the most weight: classification by what is stored.

        Parameters
        ----------
        cues : (Q, d) or (d,) array, or BitMatrix
        labels : (N,) array_like
            One for each item in the order of `ids`: numbers, strings, anything that sorts.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q,) array, or one label for one 1-d cue
            The label whose items' `weights` have the largest sum; ties go to the first in order. A
            label that occurs often has more to sum: choose a separation that falls steeply.

        Raises
        ------
        ValueError
            For another number of labels, and as `weights`.

        Examples
        --------
        >>> import amfast as am
        >>> memory = am.UniversalHopfield("manhattan", beta=2.0)
        >>> ids = memory.store([[0.0, 0.0], [0.1, 0.0], [1.0, 1.0]])
        >>> memory.vote([[0.0, 0.2], [0.9, 0.8]], ["low", "low", "high"]).tolist()
        ['low', 'high']
        """
        return voted(self, cues, labels, threads)

    def chain(self, cue: Any, n_steps: int, **how: Any) -> Any:
        """Recall a sequence: every value is the next cue.

        Parameters
        ----------
        cue : (d,) array, or BitMatrix of one row
        n_steps : int
            Recalls, >= 1.
        **how
            What each `recall` is told: ``threads``, ``update``, ...

        Returns
        -------
        (n_steps + 1, d) array or BitMatrix
            The cue and what follows it.

        Raises
        ------
        ValueError
            If values are not as wide as keys, if there is more than one cue, and as `recall`.

        Examples
        --------
        >>> import numpy as np, amfast as am
        >>> letters = np.eye(4)
        >>> memory = am.UniversalHopfield("dot", "max")
        >>> ids = memory.store(letters[:3], letters[1:])  # a -> b -> c -> d
        >>> memory.chain(letters[0], 3).argmax(axis=1)
        array([0, 1, 2, 3])
        """
        return chained(self, cue, n_steps, how)

    def energy(self, states: Any, *, threads: int | None = None) -> Any:
        """Refuse, where recall descends no energy.

        Parameters
        ----------
        states : (Q, d) or (d,) array, or BitMatrix
            As `recall` takes cues.
        threads : int, optional
            None means the setting.

        Returns
        -------
        (Q,) float64 array, or a float for one state

        Raises
        ------
        ValueError
            Where there is none, saying why; for states that `recall` refuses.
        """
        raise ValueError(f"this memory has no energy: {self._why_no_energy()}")

    def _why_no_energy(self) -> str:
        """Say why recall need not decrease anything; empty if an energy exists."""
        return ""

    def theory(self) -> dict[str, float]:
        """Say what theory expects of this memory, from its own sizes and what it holds.

        The names say what a number is: loads (patterns) at which recall ends, overlaps or
        distances expected at the present load. All hold for random patterns; how they were
        derived, and where they hold, is said in `amfast.theory`.

        Returns
        -------
        dict
            Empty where nothing is known of this kind of memory.

        Raises
        ------
        ValueError
            If the memory is empty: its width is not known.

        Examples
        --------
        >>> import amfast as am
        >>> memory = am.Hopfield()
        >>> ids = memory.store(am.BitMatrix.random(20, 200, seed=0))
        >>> {name: round(x, 2) for name, x in memory.theory().items()}  # doctest: +ELLIPSIS
        {'patterns stored': 20.0, '0.138 d, retrieval ends (d to infinity)': 27.58, ...}
        """
        load = len(self)
        if load == 0:
            raise ValueError("the memory is empty; store something first")
        d = self._width()
        said: dict[str, float] = {"patterns stored": float(load)}
        if d < 2:
            return {}
        named, overlap = self._theory(d, np.array([load]))
        said |= named
        if overlap is not None:
            said["overlap expected without corruption"] = float(overlap[0])
        said |= self._own_theory()
        return said if len(said) > 1 else {}

    def _width(self) -> int:
        """Return the units of a pattern, 0 where there are none."""
        return int(getattr(self._store.now, "width", 0))

    def _own_theory(self) -> dict[str, float]:
        """Name what theory says of this very memory, beyond loads."""
        return {}

    def _theory(self, d: int, loads: Int) -> tuple[dict[str, float], Float | None]:
        """Say what theory expects of patterns of d >= 2 units: `amfast.capacity` shows it.

        Returns
        -------
        dict
            Loads that theory names.
        (L,) array or None
            The overlap that it expects at each of ``loads`` without corruption.
        """
        return {}, None

    def _stored(self) -> Stored:
        """Return what is stored, or refuse: the memory is empty."""
        now: Stored | None = self._store.now
        if now is None or now.n_items == 0:
            raise ValueError("the memory is empty; store something first")
        return now

    def _held(self, what: str) -> Stored | None:
        """Return what is stored, None before anything was; refuse where there are no items."""
        self._need_items(what)
        now: Stored | None = self._store.now
        return now

    def _no_rows(self) -> Any:
        """Return the keys of a memory in which nothing was ever stored."""
        return np.empty((0, 0), np.float32)

    def _need_items(self, what: str) -> None:
        if self._keeps_no_items:
            self._refuse(what)

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(f"{what}: {self._keeps_no_items}")

    # -- saying and copying -----------------------------------------------------------------------

    def __repr__(self) -> str:
        """Say what the memory is and what it holds."""
        held = self._contents() if len(self) else "empty"
        return f"<{type(self).__name__}({self._described()}): {held}>"

    def __copy__(self: M) -> M:
        """Copy what is stored too: two memories must not write into one buffer."""
        return copy.deepcopy(self)

    def _saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        parameters, arrays = encoded(self._parameters())
        columns, meta = self._store.arrays()
        return {"parameters": parameters, "store": meta}, arrays | columns

    @classmethod
    def _restored(cls: type[M], parts: dict[str, Any], arrays: dict[str, Array]) -> M:
        columns = dict(arrays)
        memory = cls(**decoded(parts["parameters"], columns))
        memory._store.restore(columns, parts["store"])
        memory._check_restored()
        return memory

    def _check_restored(self) -> None:
        """Refuse what a store brought that this memory could not have stored: its first item."""
        now = self._store.now
        if isinstance(now, Stored) and now.n_items:
            self._admit_again(now, 0)

    def _check_contents(self) -> None:
        if isinstance(self._store, Items):
            self._store.check_contents()
            now = self._store.now
            if now is not None and now.n_items and now.weighted:
                self._admit_again(now, int(now.weights.argmin()))

    def _admit_again(self, now: Stored, i: int) -> None:
        """Refuse an item that was never admitted."""
        one = slice(i, i + 1)
        values = now.values[one] if now.heteroassociative else None
        self._admit(now.keys[one], values, now.weights[one] if now.weighted else None)
