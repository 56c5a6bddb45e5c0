"""Kanerva's sparse distributed memory."""

from amfast.memories.sdm.memory import SparseDistributedMemory as SparseDistributedMemory
