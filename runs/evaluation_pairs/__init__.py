"""Two evaluations on the same prompts: who was right where, and what chance explains of it."""
