"""What packd itself asks of a pack, beyond what every pack must say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from packd.domain.problems import Problem

if TYPE_CHECKING:
    from packd.domain.manifest import Manifest

_HOW_TO_TEST: Final = (
    "add a `testing:` section with suites that prove that the pack works, or set `tests.required: false` in packd's "
    "configuration to take packs without tests"
)


def untested(manifest: Manifest | None, *, required: bool) -> tuple[Problem, ...]:
    """A pack that brings no tests is refused where they are required."""
    if manifest is None or not required:
        return ()
    if manifest.testing is None:
        code, message = "testing.missing", f"No testing configuration found in pack.yaml for pack '{manifest.ref}'"
    elif not manifest.testing.enabled:
        code, message = "testing.disabled", f"Testing is disabled for pack '{manifest.ref}'"
    else:
        return ()
    return (Problem(code=code, file="pack.yaml", message=f"{message}: {_HOW_TO_TEST}"),)
