"""The answers to whoever registers content that is refused: what failed, what is in use now, and the way out."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import Phase
from packd.domain.problems import Problem, errors
from packd.domain.refs import ARCHIVE_SUFFIXES, archive_suffix

if TYPE_CHECKING:
    from packd.registry.rows import Revision, Run

_NAMED: Final = 10  # failing cases in the sentence; the report has them all
_UNTESTED: Final = frozenset({"testing.missing", "testing.disabled"})


def readable(path: Path) -> Path:
    """Where the content really is. Raises Failure."""
    if not path.is_absolute():
        raise Failure(Code.BAD_REQUEST, f"path must be absolute: {path}")
    try:
        real = Path(os.path.realpath(path))
        mode = real.stat().st_mode
        if stat.S_ISDIR(mode) and not (real / "pack.yaml").exists():
            raise Failure(Code.BAD_REQUEST, f"pack.yaml not found in directory: {path}")
        if stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and archive_suffix(real.name)):
            return real
    except PermissionError as refusal:
        said = f"packd may not look at {path}: let the user that it runs as read it, and the folders above it"
        raise Failure(Code.BAD_REQUEST, said) from refusal
    except (OSError, ValueError):  # a name too long, or with a NUL in it
        pass
    raise Failure(Code.BAD_REQUEST, f"Pack directory does not exist: {path}")


def no_pack(path: Path) -> str:
    """What to say of something at `path` that is neither a folder nor an archive."""
    if path.name == "pack.yaml":
        return f"{path} is only a part of a pack: give its folder, {path.parent}"
    return f"{path} is neither a folder nor an archive that packd unpacks ({' '.join(ARCHIVE_SUFFIXES)})"


def invalid(what: str, problems: tuple[Problem, ...]) -> Failure:
    said = "; ".join(str(problem) for problem in problems[:3])
    more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
    return Failure(Code.BAD_REQUEST, f"{what}: {said}{more}", problems=problems)


def refused(revision: Revision, run: Run | None, active: Revision | None) -> Failure:
    """For a revision that validation or its own tests refused; it was rolled back to `active`."""
    members: dict[str, Any] = {
        "ref": revision.ref,
        "revision": revision.number,
        "rolled_back": True,
        "restored": _label(active),
        "test_result": run.report if run is not None else None,
    }
    if revision.phase == Phase.REJECTED:
        found = tuple(Problem(**stored) for stored in revision.problems)
        return Failure(
            Code.BAD_REQUEST, _rejected(revision, errors(found), active), problems=errors(found), members=members
        )
    said = (
        "Pack registration failed: tests did not pass. Use force=true to register anyway. "
        f"{_what_failed(run)}. {_rolled_back(revision, active)}"
    )
    return Failure(Code.BAD_REQUEST, said, members=members)


def _rejected(revision: Revision, found: tuple[Problem, ...], active: Revision | None) -> str:
    said = "; ".join(problem.sentence if problem.code in _UNTESTED else str(problem) for problem in found[:3])
    if len(found) == 1 and found[0].code in _UNTESTED:
        return f"{said}; or register it with skip_tests=true. {_rolled_back(revision, active)}"
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return f"Pack '{revision.ref}' was refused by validation: {said}{more}. {_rolled_back(revision, active)}"


def _what_failed(run: Run | None) -> str:
    """The failing cases by name, or why there are none."""
    if run is None:
        return "Its tests could not be run"
    report = run.report or {}
    failing = [
        f"{suite['name']}: {case['name']}"
        for suite in report.get("test_suites", ())
        for case in suite["test_cases"]
        if case["status"] in ("failed", "error")
    ]
    if not failing:
        return str(run.verdict)
    more = f" and {len(failing) - _NAMED} more" if len(failing) > _NAMED else ""
    return f"{run.verdict}: {', '.join(failing[:_NAMED])}{more}"


def _rolled_back(revision: Revision, active: Revision | None) -> str:
    if active is None:
        return f"{revision.name} was rolled back; nothing of '{revision.ref}' is in use, and its report is kept"
    version = f" (version {active.version})" if active.version else ""
    return f"{revision.name} was rolled back; {active.name}{version} stays in use"


def _label(active: Revision | None) -> dict[str, Any] | None:
    if active is None:
        return None
    return {"version": active.version, "revision": active.number, "digest": active.digest}
