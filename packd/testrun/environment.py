"""The environment of a suite, built from nothing: no variable of the daemon is in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.testrun.mark import WORK_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packd.domain.manifest import Suite
    from packd.testrun.workspace import Workspace

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Where packs in the wild keep the modules that their actions, and so their tests, import.
ROOTS: Final = ("lib", "actions", "sensors", "actions/lib")


def search_path(python: Path, programs: Sequence[Path] = ()) -> str:
    """$PATH: the interpreter's own folder first, so that `env python3` means the one that runs the tests.

    `programs` are folders with what the pack's packages brought.
    """
    return ":".join((str(python.parent), *map(str, programs), _SYSTEM_PATH))


def environment(
    suite: Suite, workspace: Workspace, *, ref: str, version: str, run_id: str, search: str
) -> dict[str, str]:
    """All variables of a suite; `search` is its $PATH. The suite's own `env` comes over the defaults, but not over what identifies the run."""
    own = dict(suite.env)
    return {
        "PATH": search,
        "HOME": str(workspace.home),
        "TMPDIR": str(workspace.tmp),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "USER": "packd",
        "LOGNAME": "packd",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        **own,
        "PYTHONPATH": _python_path(workspace, own.get("PYTHONPATH", "")),
        "PACKD_PACK_REF": ref,
        "PACKD_PACK_VERSION": version,
        "PACKD_PACK_DIR": str(workspace.pack),
        "PACKD_RUN_ID": run_id,
        WORK_VARIABLE: str(workspace.folder),
    }


def _python_path(workspace: Workspace, own: str) -> str:
    """The suite's own entries (relative ones are the pack's), then the usual roots that exist, then the pack."""
    pack = workspace.pack
    wanted = [str(pack / entry) for entry in own.split(os.pathsep) if entry]
    roots = [str(pack / root) for root in ROOTS if (workspace.content / root).is_dir()]
    return os.pathsep.join((*wanted, *roots, str(pack)))
