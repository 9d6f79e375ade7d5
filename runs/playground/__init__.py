"""The playground: ask a checkpoint, and see what it writes as it writes it."""
