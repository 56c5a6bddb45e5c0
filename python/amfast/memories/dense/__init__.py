"""Dense associative memories: energies steeper than squares."""

from amfast.memories.dense.memory import DenseAssociativeMemory as DenseAssociativeMemory
