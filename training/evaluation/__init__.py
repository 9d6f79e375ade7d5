"""What an evaluation keeps while it generates, and the figures that it reports."""
