"""The manual page, from the list of commands. Imports nothing but the standard library: it is made while packd is built."""

from __future__ import annotations

from typing import Final

from packd import __version__
from packd.cli.commands import COMMANDS, SECTIONS

_HEAD: Final = r""".TH PACKD 1 "" "packd {version}" "User Commands"
.SH NAME
packd \- tests the packs that are dropped into a folder and makes the good ones active
.SH SYNOPSIS
.B packd
.RB [ \-\-socket
.IR PATH ]
.RB [ \-\-state\-dir
.IR DIR ]
.I COMMAND
.RI [ ARGUMENT ...]
.SH DESCRIPTION
packd watches a folder of automation packs. What is dropped in, or changed, is read when it has settled, fixed under its
digest, validated, and tested by its own tests, apart from the rest of the machine. If they pass it becomes active in one
atomic step; otherwise it is rolled back, and what was in use stays in use. Every step is a line in the log and an event that
webhook consumers receive, signed and in order.
.PP
Each command explains itself:
.B packd
.I COMMAND
.BR \-\-help .
"""

_TAIL: Final = r""".SH EXIT STATUS
.TP
0
fine
.TP
1
the answer is no
.TP
2
bad usage or input
.TP
3
no daemon answers
.SH ENVIRONMENT
.TP
.B PACKD_CONFIG
the configuration file
.TP
.B PACKD_SOCKET
the daemon's socket
.TP
.BR PACKD_ \fISECTION\fB__ \fIKEY\fR
any setting; see
.B packd config show
.SH FILES
.TP
.I ~/.local/state/packd
registry, store and socket of a daemon that was told nothing else
.TP
.I /etc/packd/packd.yaml
the configuration of the system service; see
.B packd service install
.SH SEE ALSO
.BR systemd (1),
.BR journalctl (1),
.BR bwrap (1)
"""


def manual() -> str:
    """packd(1), in roff as man(7) has it."""
    return _HEAD.format(version=__version__) + "".join(_section(title) for title in SECTIONS) + _TAIL


def _section(title: str) -> str:
    listed = (
        f".TP\n.B packd {_plain(name)}\n{_plain(entry.line)}\n"
        for name, entry in COMMANDS.items()
        if entry.section == title
    )
    return f".SH COMMANDS: {_plain(title.upper())}\n" + "".join(listed)


def _plain(text: str) -> str:
    """Nothing in it is an instruction to roff."""
    return text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("\n", " ")
