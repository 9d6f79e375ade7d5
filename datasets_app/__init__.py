"""Reasoning traces and the immutable datasets made of them."""
