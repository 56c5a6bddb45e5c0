"""The kernels over dask arrays: keys chunked by rows, on threads, processes or a cluster.

A task reads one chunk of keys where it is, by amfast's own kernels; what it says is merged in a
tree over the chunks, in their order, that their number and ``split_every`` alone decide. So the
bits are the same for any number of workers, and the keys never travel to the client. Results are
dask arrays, computed when they are asked for.

Needs the extra: ``pip install "amfast-memory[dask]"``.

Examples
--------
>>> import numpy as np, dask.array as da, amfast.dask
>>> keys = da.from_array(np.arange(12.0).reshape(6, 2), chunks=(2, 2))
>>> scores, indices = amfast.dask.topk([[5.0, 5.0]], keys, 2, "manhattan")
>>> indices.compute()
array([[2, 3]])
"""

try:
    import dask.array as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "amfast.dask needs dask, which the extra brings: pip install 'amfast-memory[dask]'"
    ) from error

from amfast.dask.reads import hebbian, retrieve, store
from amfast.dask.searches import topk, within

__all__ = ["hebbian", "retrieve", "store", "topk", "within"]
