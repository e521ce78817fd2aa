"""What validation and the others' needs make of a revision, before any of it is written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packd.domain.dependencies import Standing
    from packd.domain.manifest import Manifest
    from packd.domain.problems import Problem
    from packd.validate.findings import Findings


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Validated, waiting or rejected, and why."""

    findings: Findings
    problems: tuple[Problem, ...]  # those that were found in the pack, and those that come from what else is here
    outlook: Standing | None  # None: there are errors

    @property
    def manifest(self) -> Manifest | None:
        return self.findings.manifest

    @property
    def passes(self) -> bool:
        """It is validated, and nothing holds it up."""
        return self.outlook is not None and self.outlook.may_go
