"""A stable MESSAGE_ID for everything worth acting on, and what `journalctl -x` says about it: journald's catalog.

The identity is made from the event's name (a UUID, RFC 9562, version 5), so it never changes while the name stays.
`systemd/catalog/packd.catalog` is written by `text`; a test keeps the two equal.
"""

from __future__ import annotations

import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACE: Final = uuid.UUID("0f5be1f4-4f6b-5a5e-9d34-6d1d2f2c8a10")  # ours alone; changing it would rename everything

# Event → (what it is, what it means and what to do). `@NAME@` is filled in from the entry's fields.
_ENTRIES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "pack.discovered": (
            "A new pack was dropped",
            "The pack @PACKD_PACK@ was seen for the first time. It is being checked and tested; nothing uses it yet.",
        ),
        "pack.changed": (
            "A pack has changed",
            "New content of the pack @PACKD_PACK@ is being checked and tested. What was in use stays in use until then.",
        ),
        "pack.validation_failed": (
            "A pack is not as it must be",
            "The files of the pack @PACKD_PACK@ have mistakes, listed in PACKD_PROBLEMS. See `packd why @PACKD_PACK@`,\n"
            "or `packd check` on the folder, put them right where the pack was dropped, and it is looked at again.",
        ),
        "pack.waiting": (
            "A pack waits for another one",
            "The pack @PACKD_PACK@ needs packs that are not in use (PACKD_MISSING). Drop them, and it goes on by itself.",
        ),
        "pack.test_started": ("The tests of a pack have begun", "The suites of the pack @PACKD_PACK@ are running."),
        "pack.test_passed": ("The tests of a pack have passed", "The suites of the pack @PACKD_PACK@ have all passed."),
        "pack.test_failed": (
            "The tests of a pack have failed",
            "The pack @PACKD_PACK@ did not pass its own tests. `packd why @PACKD_PACK@` says which ones;\n"
            "`packd test @PACKD_PACK@ --verbose` runs them again. What was in use before stays in use.",
        ),
        "pack.registered": (
            "A pack is in use",
            "The pack @PACKD_PACK@ passed everything and is in use for the first time.",
        ),
        "pack.updated": (
            "A pack was updated",
            "A new revision of the pack @PACKD_PACK@ passed everything and is in use.",
        ),
        "pack.rolled_back": (
            "A pack was rolled back",
            "A revision of the pack @PACKD_PACK@ was withdrawn (@PACKD_REASON@). `packd history @PACKD_PACK@` shows what is\n"
            "in use now. Changed content is tried by itself; the same content only after `packd retry @PACKD_PACK@`.",
        ),
        "pack.unregistered": (
            "A pack is gone",
            "The pack @PACKD_PACK@ is not in use any more (@PACKD_REASON@). Its revisions are kept for a while: dropping it\n"
            "again brings it back.",
        ),
        "daemon.started": (
            "packd has started",
            "The packs directory was compared with the registry. PACKD_PREVIOUS_STOP says whether it had stopped cleanly;\n"
            "after a crash, everything that was under way is done again.",
        ),
        "daemon.stopping": ("packd is stopping", "Running suites are ended and tested again at the next start."),
        "watch.degraded": (
            "Changes may be seen late",
            "packd can't be told of every change in @PACKD_SCOPE@ (@PACKD_REASON@), or can't take what changed. It looks at\n"
            "everything now and then instead. limit: raise fs.inotify.max_user_watches or max_user_instances with sysctl.\n"
            "root_missing: mount the folder, or put it back. disk: make room. It goes on by itself when the cause is gone.",
        ),
        "watch.recovered": ("Changes are seen at once again", "What had kept packd from seeing changes is over."),
        "webhook.test": (
            "A test message was sent",
            "Somebody asked for a test message to the endpoint @PACKD_ENDPOINT@.",
        ),
        "webhook.endpoint_disabled": (
            "A webhook endpoint is switched off",
            "Nothing more is sent to @PACKD_ENDPOINT@; what it has not been told is kept. When its receiver is right again:\n"
            "`packd webhook enable @PACKD_ENDPOINT@`.",
        ),
        "webhook.endpoint_enabled": ("A webhook endpoint is switched on", "@PACKD_ENDPOINT@ is told of events again."),
        "webhook.delivery_failing": (
            "A webhook can't be delivered",
            "The endpoint @PACKD_ENDPOINT@ does not answer with 2xx: @PACKD_LAST_ERROR@. packd tries again by itself;\n"
            "`packd webhook deliveries --endpoint @PACKD_ENDPOINT@` shows when.",
        ),
        "webhook.delivery_recovered": ("A webhook is delivered again", "@PACKD_ENDPOINT@ takes what it is told again."),
        "webhook.delivery_exhausted": (
            "A webhook was given up",
            "All attempts for an event to @PACKD_ENDPOINT@ are used up: @PACKD_LAST_ERROR@. When its receiver is right\n"
            "again: `packd webhook recover @PACKD_ENDPOINT@ --since 4d`.",
        ),
        "webhook.left_untold": (
            "Webhooks wait for an endpoint that is gone",
            "The endpoint @PACKD_ENDPOINT@ is not in the configuration any more; @PACKD_DELIVERIES@ deliveries wait for it. They\n"
            "leave when an endpoint of that name is there again, also with another address.",
        ),
        "config.reloaded": ("The configuration was read again", "What changed is in force now (PACKD_APPLIED)."),
        "config.needs_restart": (
            "Some settings wait for a restart",
            "These settings have new values that take effect only after `systemctl restart packd`: @PACKD_KEYS@.",
        ),
        "config.rejected": (
            "The new configuration was refused",
            "The configuration file has mistakes, listed in PACKD_PROBLEMS with file, line and column. The configuration in\n"
            "force stays. Correct the file: it is read again by itself. `packd config check FILE` checks it before.",
        ),
        "api.bound_again": (
            "The socket was made anew",
            "The socket file @PACKD_SOCKET@ was @PACKD_LOST@ while packd was running, and nobody could ask it for up to ten\n"
            "seconds. It is there again. Find out what removes files there: a cleaner of temporary files, or a second packd.",
        ),
        "api.crowded": (
            "Too many connections are open",
            "@PACKD_MOST@ connections on TCP are open, so that new ones are turned away until some of them are closed; the\n"
            "socket answers as always. See who keeps them: `ss -tnp`. A larger `LimitNOFILE=` in the unit lets more in.",
        ),
        "api.unreachable": (
            "packd can't be asked at its socket",
            "The socket file @PACKD_SOCKET@ is gone, and can't be made anew: @PACKD_DETAIL@\n"
            "packd goes on with its work, and tries again every ten seconds.",
        ),
        "health.failing": (
            "A part of packd is dead or stuck",
            "@PACKD_REASON@\nUnder systemd the watchdog restarts packd; nothing is lost by that. Please report it with the log.",
        ),
        "health.recovered": ("packd is well again", "The part that was stuck has moved."),
        "store.failed": (
            "A drop could not be read",
            "The content of @PACKD_DROP@ could not be put into the store: @PACKD_ERROR@. It is read again at the next scan.",
        ),
        "drop.left_alone": (
            "Something that looks like a pack is none",
            "@PACKD_DROP@ lies in the packs directory and @PACKD_WHY@.",
        ),
        "pack.drifted": (
            "Files of a pack were changed in the store",
            "The tree of @PACKD_PACK@ revision @PACKD_REVISION@ in packd's store was not what it had been when it was tested. Somebody or something\n"
            "wrote there, or a disk forgot: find out which. @PACKD_DETAIL@",
        ),
        "probation.stays": (
            "A pack that is not healthy stays in use",
            "@PACKD_PACK@ failed its own `health` command on probation and could not be taken back: @PACKD_WHY@",
        ),
        "revalidation.stays": (
            "A pack that fails its tests stays in use",
            "@PACKD_PACK@ does not pass its own tests any more and could not be rolled back: @PACKD_WHY@",
        ),
        "clock.was_set": (
            "The clock of this machine was set",
            "By PACKD_BY_S seconds. What waits for a moment waits as long as it was to. Receivers refuse webhooks while the\n"
            "clock is five minutes off: keep it right with `timedatectl set-ntp true`.",
        ),
        "delivery.pulled_in": (
            "Webhooks waited for a moment that the clock had moved away",
            "The clock was ahead when their next attempt was planned. They are tried when the schedule has it.",
        ),
        "database.upgraded": (
            "The database was upgraded",
            "A newer packd made its schema @PACKD_SCHEMA@. As it was before, it is kept in @PACKD_KEPT@: remove that when\n"
            "nobody wants to go back. To go back: stop packd, install the older one, `packd db restore @PACKD_KEPT@`.",
        ),
        "daemon.few_files": (
            "packd may open few files",
            "@PACKD_DETAIL@. Whatever fails for want of one is tried again. `LimitNOFILE=` in the unit, or @PACKD_FIX@",
        ),
        "database.awaited": (
            "packd waits for the server of its database",
            "The server that database_url names does not answer yet. packd asks it again for a minute, and is then started\n"
            "anew by systemd. See whether it runs, and whether address, user and password are right.",
        ),
        "database.displaced": (
            "The database was removed or replaced",
            "The files of the registry's database are not any more where packd opened them: what it does now would be lost.\n"
            "@PACKD_DETAIL@.",
        ),
        "database.shared": (
            "Two daemons use one database",
            "@PACKD_DETAIL@.",
        ),
        "database.back": ("The database is back", "Its files are again those that packd opened."),
        "database.kept": (
            "A removed database was written again",
            "The database had been removed or replaced while packd used it. What packd knew is in @PACKD_FILE@: in its\n"
            "place, where nothing else lay there, else `packd db restore @PACKD_FILE@` brings it back.",
        ),
        "database.not_kept": (
            "A removed database could not be written again",
            "@PACKD_DETAIL@. Restore the newest backup with `packd db restore`, then start packd.",
        ),
        "lock.made_again": (
            "The lock of the state directory was removed",
            "packd holds it again. Meanwhile another packd could have started on the same state.",
        ),
        "lock.lost": ("The state directory is not locked any more", "@PACKD_DETAIL@."),
        "space.low": (
            "The disk is nearly full",
            "Less is free than `retention.min_free_mb` asks for: no new snapshots are taken until there is room again.\n"
            "`packd sweep` removes what is not needed any more.",
        ),
        "space.enough": ("There is room again", "New snapshots are taken again."),
    }
)


def message_id(event: str) -> str | None:
    """The 128 bits of MESSAGE_ID as 32 hexadecimal digits; None for what has no entry."""
    return uuid.uuid5(_NAMESPACE, event).hex if event in _ENTRIES else None


def described() -> tuple[str, ...]:
    """The events that have an entry."""
    return tuple(_ENTRIES)


def text() -> str:
    """The catalog file, as `journalctl --update-catalog` reads it."""
    entries = (
        f"# {event}\n-- {message_id(event)}\nSubject: {subject}\nDefined-By: packd\n\n{body}\n"
        for event, (subject, body) in _ENTRIES.items()
    )
    head = "# What `journalctl -x` says about packd's entries. Written by `python -m packd.logs.catalog`.\n\n"
    return head + "\n".join(entries)


if __name__ == "__main__":
    import sys

    sys.stdout.write(text())
