"""Evaluations: asked for, taken up, told apart, shown."""
