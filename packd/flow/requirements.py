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
_HOW_TO_TEST: Final = (
    "add a `testing:` section with suites that prove that the pack works, or set `tests.required: false` in packd's "
    "configuration to take packs without tests"
)


def untested(findings: Findings, *, required: bool) -> tuple[Problem, ...]:
    """A pack that brings no tests is refused where they are required, whatever else is wrong with it."""
    if findings.no_tests is None or not required:
        return ()
    pack = f"pack '{findings.ref}'" if findings.ref else "this pack"
    message = f"{_SAID[findings.no_tests]} for {pack}: {_HOW_TO_TEST}"
    return (Problem(code=f"testing.{findings.no_tests}", file=MANIFEST, message=message),)
