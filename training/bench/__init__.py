"""How fast a recipe runs on a device, and what limits it."""

from training.bench.measure import bench

__all__ = ["bench"]
