"""The classical Hopfield network."""

from amfast.memories.hopfield.memory import Hopfield as Hopfield
