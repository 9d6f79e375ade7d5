"""The first page: what runs, what waits, the devices, what came out, and what to do next."""
