"""A door: HTTP over the Unix socket (and TCP where it is asked for)."""
