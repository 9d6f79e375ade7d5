"""Checkpoints written down for other programs: what is asked, the process that does it, the model card."""
