"""Import of files: containers, decoding, detection, limits, and the way into the database."""
