"""The weighted continuous Hebbian memory."""

from amfast.memories.hebbian.memory import HebbianMemory as HebbianMemory
