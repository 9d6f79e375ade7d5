"""Names on checkpoints: who points what at which checkpoint, and what it must show for that."""
