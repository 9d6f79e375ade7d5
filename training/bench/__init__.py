"""How fast a recipe runs on a device, and what limits it."""
