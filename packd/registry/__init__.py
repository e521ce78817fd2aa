"""What is true now and what happened. All SQL is in this room."""
