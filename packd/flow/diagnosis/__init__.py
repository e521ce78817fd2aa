"""What commonly goes wrong around a daemon, looked at from outside: each thing with what was found and the way out."""
