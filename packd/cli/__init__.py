"""A door: one file per command."""
