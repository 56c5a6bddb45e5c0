"""Figures and numbers of the literature, reproduced.

``amfast reproduce NAME`` runs one experiment of the registry, ``all`` runs every one. Each checks
what amfast itself must show against the numbers known, with tolerances, and says for every claim of
a paper whether it holds. Those on real images (``uhn-*``) measure their figure *as the caption
says* and *as the authors' code runs* where the two differ; the others measure random patterns
against `amfast.theory`.

``_registry`` says what an experiment is and how to add one, ``_report`` prints and writes,
``_figures`` and ``_gallery`` draw, ``_fit`` reads slopes and crossings off points, ``_images``
finds the data, ``_notes`` plays music, ``_cues`` and ``_measure`` serve the experiments on images,
``_training`` those that learn; every other module is one experiment.
"""

from __future__ import annotations

from amfast.reproduce import (  # noqa: F401  (importing an experiment registers it)
    chain_capacity,
    dam_capacity,
    dam_digits,
    dam_duality,
    dam_fashion,
    dam_mnist,
    dam_recall,
    dam_xor,
    demircigil_basins,
    expander_recovery,
    hopfield_biased,
    hopfield_onestep,
    hopfield_transition,
    identities,
    learned_similarity,
    mchn_bounds,
    measure_learning,
    measure_recall,
    modern_onestep,
    muon_longtail,
    muon_noiseless,
    muon_pretraining,
    muon_scaling,
    sdm_attention,
    sdm_critical,
    sparse_recovery,
    timbre,
    uhn_attention,
    uhn_capacity,
    uhn_dynamics,
    uhn_examples,
    uhn_hetero,
    uhn_perturbations,
    uhn_robustness,
    uhn_separation,
    uhn_threshold,
)
from amfast.reproduce._registry import EXPERIMENTS
from amfast.reproduce._report import run

__all__ = ["EXPERIMENTS", "run"]
