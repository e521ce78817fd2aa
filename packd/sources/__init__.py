"""Fetch a pack from git, an archive URL or path, or an index."""
