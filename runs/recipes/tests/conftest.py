"""Fixtures of those tests that really train."""

from runs.tests.training_support import compiled, dataset

__all__ = ["compiled", "dataset"]
