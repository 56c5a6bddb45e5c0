"""`NeuralDynamics`: visible and hidden neurons that move in continuous time."""

from amfast.memories.neural.memory import NeuralDynamics as NeuralDynamics
