"""Do its own tests pass, isolated?"""
