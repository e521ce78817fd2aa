"""The words of packd and every decision that two rooms share.

Pure: no clock, disk, network, process, log or database in here; time is an argument.
"""
