"""What packd itself asks of a pack, beyond what every pack must say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packd.domain.problems import Problem
from packd.validate.findings import MANIFEST

if TYPE_CHECKING:
    from packd.validate.findings import Findings, NoTests

_SAID: Final[dict[NoTests, str]] = {
    "missing": "No testing configuration found in pack.yaml",
    "disabled": "Testing is disabled",
}
_WAY_OUT: Final[dict[NoTests, str]] = {
    "missing": "add a `testing:` section with suites that prove that the pack works",
    "disabled": "remove `enabled: false` from its `testing:` section, so that its suites are run",
}
_OTHERWISE: Final = "or set `tests.required: false` in packd's configuration to take packs without tests"


def untested(findings: Findings, *, required: bool) -> tuple[Problem, ...]:
    """A pack that brings no tests is refused where they are required, whatever else is wrong with it."""
    if findings.no_tests is None or not required:
        return ()
    pack = f"pack '{findings.ref}'" if findings.ref else "this pack"
    message = f"{_SAID[findings.no_tests]} for {pack}: {_WAY_OUT[findings.no_tests]}, {_OTHERWISE}"
    line, column = findings.switched_off_at or (None, None)
    return (Problem(code=f"testing.{findings.no_tests}", file=MANIFEST, line=line, column=column, message=message),)
