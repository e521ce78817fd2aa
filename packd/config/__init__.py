"""Settings: flags > environment (`PACKD_SECTION__KEY`) > file > defaults, every value with where it was set.

Only the wiring reads settings; rooms take plain values.
"""

from packd.config.changes import changed_keys
from packd.config.effective import Setting, effective, in_force, schema
from packd.config.layers import FILE_VARIABLE, BadConfig
from packd.config.layout import check_layout
from packd.config.loading import load
from packd.config.settings import (
    Api,
    Limits,
    Log,
    Retention,
    Rollback,
    RunLimits,
    Settings,
    Sources,
    Suites,
    Watch,
    Webhook,
)
from packd.config.source import Source

__all__ = [
    "FILE_VARIABLE",
    "Api",
    "BadConfig",
    "Limits",
    "Log",
    "Retention",
    "Rollback",
    "RunLimits",
    "Setting",
    "Settings",
    "Source",
    "Sources",
    "Suites",
    "Watch",
    "Webhook",
    "changed_keys",
    "check_layout",
    "effective",
    "in_force",
    "load",
    "schema",
]
