"""Histories of other tools: their files read into runs of ours, and our runs written for them."""
