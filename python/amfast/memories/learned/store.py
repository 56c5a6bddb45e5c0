"""What a trained memory keeps: W, the pairs that it was trained on, and how training went."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from amfast._stores.matrix import kept
from amfast._typing import Array, Float, Int
from amfast.memories.learned.training import History


class Trained(NamedTuple):
    """All that training left; it is replaced as a whole."""

    w: Float
    """(o, d)"""
    keys: Array
    """(K, d) the queries."""
    values: Array
    """(K, o) the answers."""
    frequency: Float
    """(K,)"""
    groups: Array
    """(G,) labels."""
    lr: float
    history: History

    @property
    def ids(self) -> Int:
        """Numbers of the pairs."""
        return np.arange(len(self.keys))


class PairStore:
    """The last training; `fit` puts it here."""

    now: Trained | None

    def __init__(self) -> None:
        self.now = None

    def delete(self, ids: Int) -> None:
        """Refuse: W is trained on all pairs together."""
        raise ValueError("delete: W was trained on all pairs together; fit again without some")

    def __len__(self) -> int:
        """Count the pairs of the last training."""
        return 0 if self.now is None else len(self.now.keys)

    @property
    def nbytes(self) -> int:
        """Bytes of W and of the pairs."""
        now = self.now
        return 0 if now is None else now.w.nbytes + now.keys.nbytes + now.values.nbytes

    def arrays(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return what `restore` makes the same of: arrays, and numbers and labels."""
        now = self.now
        if now is None:
            return {}, {}
        arrays = {"w": now.w, "queries": now.keys, "answers": now.values}
        labels = now.groups if now.groups.dtype.kind in "biufU" else now.groups.astype(np.str_)
        meta = {"lr": now.lr, "groups": labels.tolist()}
        return arrays | {"frequency": now.frequency} | now.history._asdict(), meta

    def restore(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Hold what `arrays` gave, in place of what was held; no array is copied."""
        if not arrays:
            self.now = None
            return
        groups, double = np.array(meta["groups"]), np.dtype(np.float64)
        w = kept(arrays["w"], "w", (None, None), double)
        queries, answers = arrays["queries"], arrays["answers"]
        kept(queries, "queries", (None, w.shape[1]), queries.dtype)
        kept(answers, "answers", (len(queries), w.shape[0]), answers.dtype)
        frequency = kept(arrays["frequency"], "frequency", (len(queries),), double)
        past = History(*(arrays[name] for name in History._fields))
        for name, x in past._asdict().items():
            kept(x, name, (len(past.loss), len(groups))[: x.ndim], double)
        self.now = Trained(w, queries, answers, frequency, groups, float(meta["lr"]), past)
