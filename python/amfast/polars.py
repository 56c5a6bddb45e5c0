"""The nearest keys of every row of a column: ``pl.col("e").am.topk(keys, k, metric)``.

Importing this module registers the namespace ``am`` of expressions, which work in eager and lazy
frames. Columns hold rows as ``Array`` or ``List`` of numbers; their element type is kept.

Needs the extra: ``pip install "amfast-memory[polars]"``.

Examples
--------
>>> import polars as pl, amfast.polars
>>> frame = pl.DataFrame({"e": [[0.0, 0.9], [5.0, 5.1]]})
>>> found = frame.select(pl.col("e").am.topk([[0.0, 1.0], [5.0, 5.0]], 1, "manhattan"))
>>> found["e"].struct.field("indices").to_list()
[[0], [1]]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from amfast import _check, kernels
from amfast.parts import metrics

try:
    import polars as pl
except ImportError as error:
    raise ImportError(
        "amfast.polars needs polars, which the extra brings: pip install 'amfast-memory[polars]'"
    ) from error

__all__ = ["Expressions"]


@pl.api.register_expr_namespace("am")
class Expressions:
    """What amfast computes of a column of rows: the namespace ``am`` of an expression.

    Parameters
    ----------
    expression : polars.Expr
        What ``pl.col(...)`` gives.
    """

    def __init__(self, expression: pl.Expr) -> None:
        self._expression = expression

    def topk(self, keys: Any, k: int, metric: str, *, threads: int | None = None) -> pl.Expr:
        """Find the k best keys for every row, as `amfast.topk`.

        Parameters
        ----------
        keys : (N, d) array, or anything that `amfast.topk` takes, a polars column too
        k : int
            1 to N.
        metric : str
            One of `amfast.kernels`.
        threads : int, optional
            None means the setting.

        Returns
        -------
        polars.Expr
            A struct a row, of ``scores``, k Float64, which hold scores of any type, and
            ``indices``, k Int64; best first.

        Raises
        ------
        ValueError, TypeError
            For k or a metric that cannot be; for what is wrong with rows when the query runs.
        """
        metric, k = metrics.resolve(metric), _check.integer(k, "k", 1)
        types = {"scores": pl.Array(pl.Float64, k), "indices": pl.Array(pl.Int64, k)}

        def search(column: pl.Series) -> pl.Series:
            if len(column):
                scores, indices = kernels.topk(column, keys, k, metric, threads=threads)
            else:
                scores, indices = np.empty((0, k)), np.empty((0, k), np.int64)
            found = {"scores": scores.astype(np.float64), "indices": indices}
            return pl.DataFrame(found, schema=types).to_struct(column.name)

        return self._expression.map_batches(search, pl.Struct(types), is_elementwise=True)
