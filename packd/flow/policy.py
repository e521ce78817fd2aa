"""How this daemon was asked to behave: plain values taken from the settings once, handed to whoever decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packd.testrun.limits import Limits as RunLimits
    from packd.validate.findings import Runtime


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The choices of whoever runs the daemon."""

    tests_required: bool  # a pack without a testing section is refused
    suite_timeout_s: float  # for suites that do not say their own
    run_limits: RunLimits
    allow_network: bool  # suites that ask for the network get it
    runtime: Runtime  # what will run the tests; checked against what packs ask for
