"""Figures of the literature, reproduced on real images.

``amfast reproduce NAME`` runs one experiment of the registry, ``all`` runs every one. Each measures
its figure *as the caption says* and *as the authors' code runs* where the two differ, checks what
amfast itself must show, and says for every claim of the paper whether it holds.

``_registry`` says what an experiment is and how to add one, ``_report`` prints and writes,
``_figures`` draws, ``_images`` finds the data, ``_measure`` retrieves; every other module is one
experiment.
"""

from __future__ import annotations

from amfast.reproduce import (  # noqa: F401  (importing an experiment registers it)
    uhn_capacity,
    uhn_hetero,
    uhn_perturbations,
    uhn_robustness,
    uhn_separation,
    uhn_threshold,
)
from amfast.reproduce._registry import EXPERIMENTS
from amfast.reproduce._report import run

__all__ = ["EXPERIMENTS", "run"]
