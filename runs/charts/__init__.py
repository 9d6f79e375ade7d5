"""What charts are drawn of a run, what is marked in them, and the tab that holds them all."""
