"""The conditions for commands that need no daemon: those that the configuration sets for one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from packd.flow.offline import Terms

if TYPE_CHECKING:
    from pathlib import Path

_SAYS_NOTHING_ABOUT_PACKS: Final = frozenset({"PACKD_SOCKET"})


def terms(config: Path | None) -> Terms:
    """From the file and the environment. Where neither says anything the settings are not even loaded: that takes long.

    Raises Failure BAD_REQUEST for a configuration that can't be used.
    """
    said = {name for name in os.environ if name.startswith("PACKD_")} - _SAYS_NOTHING_ABOUT_PACKS
    return _from_settings(config) if config is not None or said else Terms()


def _from_settings(config: Path | None) -> Terms:
    from packd.config import load
    from packd.snapshot.limits import MIB, Limits
    from packd.testrun.environments.origins import Origins
    from packd.testrun.limits import Limits as RunLimits

    settings = load(config, os.environ, {})
    return Terms(
        ignore=settings.watch.ignore,
        limits=Limits(files=settings.limits.files, bytes=settings.limits.bytes_mb * MIB, depth=settings.limits.depth),
        tests_required=settings.tests.required,
        suite_timeout_s=settings.tests.timeout_s,
        run_limits=RunLimits(**settings.tests.limits.model_dump()),
        allow_network=settings.tests.network == "allow",
        isolation=settings.tests.isolation,
        user=settings.tests.user,
        python=settings.tests.python,
        grace_s=settings.tests.grace_s,
        origins=Origins(**settings.tests.origins()),
    )
