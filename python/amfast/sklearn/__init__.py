"""Memories and searches as estimators of scikit-learn, 1.6 and newer.

`NearestNeighbors`, `KNeighborsTransformer` and `RadiusNeighborsTransformer` do what scikit-learn's
do by brute force, exactly and faster; their graphs are what DBSCAN, HDBSCAN, Isomap, t-SNE and
others take as "precomputed". `AssociativeClassifier`, `AssociativeRegressor`, `AssociativeDenoiser`
and `AssociativeImputer` recall labels, numbers, whole rows and missing entries;
`DenseAssociativeClassifier` learns its memories.

All keep float32, float64, float16 and bytes as they come, take dense data only, and share
``n_jobs``: how many threads a call uses. None means the setting of amfast (all cores, or
``AMFAST_NUM_THREADS``), -1 all cores; other numbers as in joblib.

Needs the extra: ``pip install "amfast-memory[sklearn]"``.

Examples
--------
>>> import amfast.sklearn
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> model = make_pipeline(StandardScaler(), amfast.sklearn.AssociativeClassifier(beta=2.0))
>>> model.fit([[0.0, 1.0], [0.1, 0.9], [5.0, 3.0]], ["low", "low", "high"]).predict([[4.0, 3.0]])
array(['high'], dtype='<U4')
"""

try:
    from sklearn.utils.validation import validate_data as _  # noqa: F401
except ImportError as error:
    raise ImportError(
        "amfast.sklearn needs scikit-learn 1.6 or newer, which the extra brings: "
        "pip install 'amfast-memory[sklearn]'"
    ) from error

from amfast.sklearn.dense import DenseAssociativeClassifier
from amfast.sklearn.neighbours import (
    KNeighborsTransformer,
    NearestNeighbors,
    RadiusNeighborsTransformer,
)
from amfast.sklearn.rows import AssociativeDenoiser, AssociativeImputer
from amfast.sklearn.targets import AssociativeClassifier, AssociativeRegressor

__all__ = [
    "AssociativeClassifier",
    "AssociativeDenoiser",
    "AssociativeImputer",
    "AssociativeRegressor",
    "DenseAssociativeClassifier",
    "KNeighborsTransformer",
    "NearestNeighbors",
    "RadiusNeighborsTransformer",
]
