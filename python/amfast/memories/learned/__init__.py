"""The linear associative memory that is trained."""

from amfast.memories.learned.memory import LinearAssociativeMemory as LinearAssociativeMemory
