"""Does it say what it must?"""
