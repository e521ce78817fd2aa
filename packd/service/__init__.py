"""What systemd and packd tell each other: readiness, watchdog, sockets that are open already, unit files.

Works without systemd just as well: then nobody listens, and nothing is said.
"""
