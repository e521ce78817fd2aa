"""A new configuration while the daemon runs: checked first; what is good is applied, what is bad changes nothing.

Nothing that is under way is touched: a run keeps the limits it began with, a delivery in hand comes back as always.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from packd.config import BadConfig, Settings, Source, changed_keys
from packd.domain.failures import for_log
from packd.flow.endpoints import follow_configuration
from packd.flow.reconcile import LANE
from packd.logs import configure
from packd.terms import (
    configured_endpoints,
    delivery_rules,
    fetch_terms,
    pack_indexes,
    policy_of,
    retention_ages,
    retention_terms,
    revalidation_moment,
    shown_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from packd.bootstrap import Parts

log = structlog.get_logger("packd")

_MOST_SAID: Final = 10  # problems in one log line

Signature = tuple[tuple[int, ...] | None, ...]


class Reloader:
    """Applies what can change while the daemon runs, and says what can't."""

    def __init__(self, parts: Parts, source: Source) -> None:
        self._parts = parts
        self._source = source
        self._in_force = parts.settings
        parts.configuration.file = source.file
        self._seen = self._signature()
        self._changing = self._seen

    @property
    def watches(self) -> bool:
        """Is there a file that can change?"""
        return self._source.file is not None

    def file_changed(self) -> bool:
        """Did the file, or one with a secret that it names, change since it was last read, and is it quiet again?

        Asked at intervals: a file that is still being written looks different every time.
        """
        now = self._signature()
        quiet, self._changing = now == self._changing, now
        return quiet and now != self._seen

    def reload(self) -> bool:
        """Read it again and apply what is new; False when it was rejected and the old one stays in force.

        False too when something kept it from being read or applied, such as a disk that fails or is full: then it counts
        as changed until it is.
        """
        self._seen = self._changing = self._signature()
        try:
            settings = self._source.load()
        except BadConfig as bad:
            self._reject(tuple(str(problem) for problem in bad.problems))
            return False
        except OSError as failure:
            self._put_off("read", failure)
            return False
        changed = changed_keys(self._in_force, settings)
        for warning in settings.warnings:
            log.warning("config.unwise", detail=str(warning))
        try:
            self._apply(settings, changed)
        except Exception as failure:
            self._put_off("applied", failure)
            return False
        waiting = tuple(key for key in changed_keys(self._parts.settings, settings) if not _is_live(key))
        self._in_force = settings
        self._seen = self._changing = self._signature()  # it may name other secrets now
        self._parts.configuration.settings = partial(shown_settings, self._parts.settings, settings, waiting)
        self._accept(tuple(key for key in changed if _is_live(key)), waiting)
        return True

    def _put_off(self, what: str, failure: Exception) -> None:
        """Said once, however often it is tried."""
        said = f"it can't be {what} yet, and is tried again: {str(failure).partition(chr(10))[0]}"
        if self._parts.configuration.rejected != (said,):
            log.error("config.not_applied", **for_log(failure))
        self._parts.configuration.rejected = (said,)
        self._seen = ()

    def _reject(self, problems: tuple[str, ...]) -> None:
        self._parts.configuration.rejected = problems
        log.error("config.rejected", problems=list(problems[:_MOST_SAID]), kept="the configuration in force stays")

    def _accept(self, applied: tuple[str, ...], waiting: tuple[str, ...]) -> None:
        configuration = self._parts.configuration
        configuration.rejected, configuration.needs_restart = (), waiting
        configuration.loaded_at = self._parts.clock.iso()
        log.info("config.reloaded", applied=list(applied))
        if waiting:
            log.warning("config.needs_restart", keys=list(waiting))

    def _apply(self, settings: Settings, changed: Iterable[str]) -> None:
        for apply in dict.fromkeys(apply for key in changed for begins, apply in _LIVE.items() if _below(key, begins)):
            apply(self._parts, settings)

    def _signature(self) -> Signature:
        files = [self._source.file] if self._source.file else []
        for webhook in self._in_force.webhooks:
            named = (webhook.secret_file, webhook.ca_file, webhook.certificate_file, webhook.key_file)
            files += [file for file in named if file is not None]
        return tuple(_stat(file) for file in files)


# --- what can be applied ---------------------------------------------------------------------------------------------


def _webhooks(parts: Parts, settings: Settings) -> None:
    follow_configuration(parts.registry, configured_endpoints(settings), clock=parts.clock)
    parts.dispatcher.wake()


def _delivering(parts: Parts, settings: Settings) -> None:
    parts.dispatcher.follow(delivery_rules(settings))


def _policy(parts: Parts, settings: Settings) -> None:
    policy = policy_of(settings, parts.interpreters)
    parts.pipeline.follow(policy)
    parts.runs.follow(policy)


def _sources(parts: Parts, settings: Settings) -> None:
    parts.installer.follow(fetch_terms(settings), pack_indexes(settings))


def _settling(parts: Parts, settings: Settings) -> None:
    watch = settings.watch
    parts.settling.follow(
        quiet_s=watch.quiet_ms / 1000, longest_wait_s=watch.longest_wait_s, remove_grace_s=watch.remove_grace_s
    )


def _reconciling(parts: Parts, settings: Settings) -> None:
    parts.schedule.every(settings.watch.reconcile_every_s, parts.reconciler.request, name="reconcile")


def _markers(parts: Parts, settings: Settings) -> None:
    parts.markers.follow(settings.markers)
    parts.lanes.submit(LANE, parts.projections.put_markers_right)


def _restoring(parts: Parts, settings: Settings) -> None:
    parts.restorer.follow(enabled=settings.rollback.folder == "restore", kept_hours=settings.retention.failed_hours)


def _probation(parts: Parts, settings: Settings) -> None:
    parts.probation.follow(settings.rollback.probation_s)


def _revalidating(parts: Parts, settings: Settings) -> None:
    parts.revalidation.follow(roll_back=settings.rollback.on_revalidation)
    parts.schedule.at(revalidation_moment(settings), parts.revalidation.request, name="revalidate")


def _retention(parts: Parts, settings: Settings) -> None:
    _restoring(parts, settings)
    parts.sweeper.follow(retention_terms(settings), retention_ages(settings))
    parts.space.follow(settings.retention.min_free_mb)


def _logs(_: Parts, settings: Settings) -> None:
    configure(settings.log.format, settings.log.level)


# Dotted key, or the beginning of one → what applies it. Everything else needs a restart.
_LIVE: Final[dict[str, Callable[[Parts, Settings], None]]] = {
    "webhooks": _webhooks,
    "delivery": _delivering,
    "markers": _markers,
    "tests.required": _policy,
    "tests.timeout_s": _policy,
    "tests.network": _policy,
    "tests.limits": _policy,
    "watch.quiet_ms": _settling,
    "watch.longest_wait_s": _settling,
    "watch.remove_grace_s": _settling,
    "watch.reconcile_every_s": _reconciling,
    "rollback.folder": _restoring,
    "rollback.on_revalidation": _revalidating,
    "rollback.probation_s": _probation,
    "tests.revalidate": _revalidating,
    "sources.allow_private": _sources,
    "sources.timeout_s": _sources,
    "sources.indexes": _sources,
    "retention": _retention,
    "log": _logs,
}


def _is_live(key: str) -> bool:
    return any(_below(key, begins) for begins in _LIVE)


def _below(key: str, begins: str) -> bool:
    return key == begins or key.startswith(f"{begins}.")


def _stat(file: Path) -> tuple[int, ...] | None:
    """What tells one content from another; the change time also when the size and the modification time stay."""
    try:
        found = os.stat(file)  # noqa: PTH116  follows links: that is how a mounted configuration changes
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
