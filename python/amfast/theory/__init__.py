"""The closed forms of the literature: how much a memory holds, and how often it errs.

Each function says which model it describes, where the formula is from, and whether it is exact,
a bound, or an asymptotic form that is wrong at the sizes one meets. The experiments of
``amfast reproduce`` measure the memories against these functions.

One module per family of memories; everything is found here by its name.

Examples
--------
How many random pairs does a one-step Hopfield network with 1024 inputs answer without any error,
by the textbook and with one half probability?

>>> from amfast import theory
>>> round(theory.hopfield_capacity(1024, "all")), round(theory.hopfield_n50(1024, "all"))
(37, 58)
"""

from amfast.theory.dense import (
    dense_bit_error,
    dense_bit_error_tail,
    dense_capacity,
    dense_n50,
    exponential_capacity,
    exponential_exponent,
    exponential_rate,
    onestep_birthday,
    onestep_exponent,
    onestep_union_exponent,
    onestep_width,
)
from amfast.theory.hopfield import (
    bidirectional_n50,
    hopfield_bit_bound,
    hopfield_bit_error,
    hopfield_capacity,
    hopfield_critical_load,
    hopfield_n50,
    hopfield_overlap,
    hopfield_union_bound,
    storkey_capacity,
)
from amfast.theory.learned import (
    gd_noiseless_loss,
    gd_noisy_exponent,
    learned_entropy,
    learned_margin,
    muon_alignment,
    muon_learning_rate,
    muon_noiseless_loss,
    muon_noisy_exponent,
    newton_schulz_range,
)
from amfast.theory.measure import (
    measure_beta,
    measure_excess_risk,
    measure_sampling_error,
    measure_weight,
)
from amfast.theory.modern import (
    attention_beta,
    attention_target_weight,
    log_circle_overlap,
    modern_capacity,
    modern_capacity_base,
    modern_error_bound,
    modern_radius,
    modern_separation,
)
from amfast.theory.recovery import (
    l1_capacity,
    l1_weak_threshold,
    recovery_unique,
    subspace_messages,
)
from amfast.theory.sdm import (
    SdmRead,
    activation_probability,
    circle_overlap,
    sdm_critical_distance,
    sdm_expected_active,
    sdm_new_distance,
    sdm_radius,
    sdm_read,
    sdm_snr,
)
from amfast.theory.sdm_choice import (
    sdm_best_p,
    sdm_best_radius,
    sdm_capacity_p,
    sdm_capacity_radius,
)
from amfast.theory.sdm_recall import sdm_convergence_distance, sdm_iterated_distance
from amfast.theory.sequence import sequence_critical_load, sequence_n50

__all__ = [
    "SdmRead",
    "activation_probability",
    "attention_beta",
    "attention_target_weight",
    "bidirectional_n50",
    "circle_overlap",
    "dense_bit_error",
    "dense_bit_error_tail",
    "dense_capacity",
    "dense_n50",
    "exponential_capacity",
    "exponential_exponent",
    "exponential_rate",
    "gd_noiseless_loss",
    "gd_noisy_exponent",
    "hopfield_bit_bound",
    "hopfield_bit_error",
    "hopfield_capacity",
    "hopfield_critical_load",
    "hopfield_n50",
    "hopfield_overlap",
    "hopfield_union_bound",
    "l1_capacity",
    "l1_weak_threshold",
    "learned_entropy",
    "learned_margin",
    "log_circle_overlap",
    "measure_beta",
    "measure_excess_risk",
    "measure_sampling_error",
    "measure_weight",
    "modern_capacity",
    "modern_capacity_base",
    "modern_error_bound",
    "modern_radius",
    "modern_separation",
    "muon_alignment",
    "muon_learning_rate",
    "muon_noiseless_loss",
    "muon_noisy_exponent",
    "newton_schulz_range",
    "onestep_birthday",
    "onestep_exponent",
    "onestep_union_exponent",
    "onestep_width",
    "recovery_unique",
    "sdm_best_p",
    "sdm_best_radius",
    "sdm_capacity_p",
    "sdm_capacity_radius",
    "sdm_convergence_distance",
    "sdm_critical_distance",
    "sdm_expected_active",
    "sdm_iterated_distance",
    "sdm_new_distance",
    "sdm_radius",
    "sdm_read",
    "sdm_snr",
    "sequence_critical_load",
    "sequence_n50",
    "storkey_capacity",
    "subspace_messages",
]
