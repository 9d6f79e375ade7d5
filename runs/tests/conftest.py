"""Fixtures of this package; those of one session are made once because they are registered here alone."""

from runs.tests.training_support import compiled, dataset, worker

__all__ = ["compiled", "dataset", "worker"]
