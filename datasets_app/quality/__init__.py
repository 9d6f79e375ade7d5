"""What is good and bad about a dataset: duplicates, overlap, lengths, steps, answers."""
