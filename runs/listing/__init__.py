"""The list of runs: its search language, columns, saved views, tags, exports, and what keeps it quick."""
