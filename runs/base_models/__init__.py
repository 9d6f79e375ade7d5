"""Base models: getting them from folders and from the hub, keeping them, showing them."""
