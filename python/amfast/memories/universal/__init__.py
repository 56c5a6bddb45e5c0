"""Similarity, separation, projection over stored items."""

from amfast.memories.universal.memory import UniversalHopfield as UniversalHopfield
