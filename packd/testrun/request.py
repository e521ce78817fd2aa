"""What a run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from packd.domain.manifest import ResultFormat, Suite
    from packd.testrun.limits import Limits


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What is to be tested, and how."""

    run_id: str  # unique; names the run's folder and marks its processes
    ref: str
    version: str
    tree: Path  # the snapshot; read only, suites run in a copy
    suites: tuple[Suite, ...]
    default_timeout_s: float  # for suites that do not say their own
    limits: Limits
    result_format: ResultFormat | None = None  # for suites that do not say their own
    result_path: str | None = None
    started_at: str  # RFC 3339 in UTC; goes into the report as it is
    allow_network: bool = False  # suites that ask for the network get it
    parallel: bool = False  # all suites at once, each in a copy of its own
    python_version: str | None = None  # a range for the interpreter; None: the usual one
    python_dependencies: tuple[str, ...] = ()  # beside what the pack's requirements files say
    rebuild: bool = False  # environments are built anew
