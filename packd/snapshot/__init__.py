"""settle → snapshot: fix the content of a drop under its digest."""
