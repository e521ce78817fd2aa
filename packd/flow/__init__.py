"""The corridor: the only package that knows the order of the stages, and the only one that writes the registry."""
