"""What a pack's tests need beside the pack: built once, kept by what it was built from, used read-only."""
