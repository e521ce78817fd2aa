"""Programs of packd's own that stand between it and a suite. They import nothing but the standard library."""
