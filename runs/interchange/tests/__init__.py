"""Tests of the import and export of histories."""
