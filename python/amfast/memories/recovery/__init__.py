"""The memory of a subspace: sparse errors are found by the constraints that they break."""

from amfast.memories.recovery.memory import SparseRecoveryMemory as SparseRecoveryMemory
