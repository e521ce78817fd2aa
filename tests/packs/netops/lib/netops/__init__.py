"""What the actions of this pack have in common."""
