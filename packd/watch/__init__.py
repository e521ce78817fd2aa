"""drop → settle: what changed, and has it gone quiet?"""
