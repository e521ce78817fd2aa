"""From what a suite wrote to counts and cases. Pure; the input is hostile, so nothing in it may crash, hang or swell."""
