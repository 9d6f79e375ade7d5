"""Which model does how well on which data: only what can be compared stands on one board."""
