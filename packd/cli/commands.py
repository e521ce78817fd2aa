"""Every command by name: the module that has it, where it stands in the help, and what it does in one line.

One line each, sorted by name. Within its section the help shows them in this order.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """Where a command is, without importing it."""

    module: str  # below packd.cli; its `command` is what is called
    section: str  # of the help: one of SECTIONS
    line: str  # what it does


SECTIONS: Final = ("Begin", "Look", "Change", "Set up")

COMMANDS: Final[dict[str, Entry]] = {
    "audit": Entry("audit", "Look", "Who did what, and what came of it."),
    "check": Entry("check", "Begin", "Say what is wrong with a pack's files; needs no daemon."),
    "compare": Entry("compare", "Look", "What changed between two runs of a pack's tests."),
    "completion": Entry("completion", "Set up", "The script with which a shell completes packd's commands and packs."),
    "config": Entry("config", "Set up", "Show, check and describe the configuration."),
    "db": Entry("db", "Set up", "Back up, restore, check and upgrade the database."),
    "disable": Entry("disable", "Change", "Take a pack out of use until it is enabled."),
    "doctor": Entry("doctor", "Set up", "Look for what commonly goes wrong, and say how to fix it."),
    "enable": Entry("enable", "Change", "Put a disabled pack back in use."),
    "events": Entry("events", "Look", "What happened, and with --follow what happens."),
    "history": Entry("history", "Look", "A pack's revisions, and which was in use when."),
    "install": Entry("install", "Change", "Install a pack from git, an archive or an index, with all it needs."),
    "list": Entry("list", "Look", "One line a pack."),
    "new": Entry("new", "Begin", "Write a small pack that passes its own tests."),
    "outdated": Entry("outdated", "Look", "Packs in use of which an index has a newer version."),
    "register": Entry("register", "Change", "Take a folder or archive from anywhere as a pack."),
    "remove": Entry("remove", "Change", "Unregister a pack; its history is kept."),
    "retry": Entry("retry", "Change", "Try refused content once more."),
    "rollback": Entry("rollback", "Change", "Put an earlier revision back in use."),
    "run": Entry("run", "Begin", "The daemon, in the foreground: watches a folder of packs."),
    "search": Entry("search", "Look", "Packs that can be installed by name."),
    "service": Entry("service", "Set up", "Run packd under systemd, for the machine or for yourself."),
    "show": Entry("show", "Look", "A pack whole."),
    "status": Entry("status", "Look", "The daemon at a glance."),
    "sweep": Entry("sweep", "Change", "Remove what the retention policy does not keep."),
    "test": Entry("run_suites", "Begin", "Run a pack's own tests now."),
    "tests": Entry("runs", "Look", "The runs of packs' tests."),
    "token": Entry("token", "Set up", "Make, list and revoke tokens for callers over TCP."),
    "upgrade": Entry("upgrade", "Change", "Bring packs to the newest versions that fit together."),
    "webhook": Entry("webhook", "Set up", "Who is told of events by HTTP, and what they were told."),
    "why": Entry("why", "Look", "In words, why a pack is or isn't active."),
}
