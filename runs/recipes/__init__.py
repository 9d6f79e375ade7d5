"""Recipes: files that hold a whole training, those that are shipped, and what each expects."""
