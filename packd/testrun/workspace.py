"""The folder of one run: a private copy of the pack, a home, a place for temporary files. Nothing of it stays."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a run happens."""

    folder: Path  # the run's own
    pack: Path  # the private copy; where suites start
    home: Path
    tmp: Path


def workspace_at(work_dir: Path, run_id: str) -> Workspace:
    """Raises ValueError when the id can't be the name of a folder."""
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"{run_id!r} can't be a run id: letters, digits, '_', '-' and '.', at most 100")
    folder = work_dir / run_id
    return Workspace(folder=folder, pack=folder / "pack", home=folder / "home", tmp=folder / "tmp")


def furnish(workspace: Workspace, tree: Path, copy_tree: Callable[[Path, Path], None]) -> None:
    """Make the folder with a copy of `tree` in it. Raises OSError when there is no room, or the folder is there."""
    workspace.folder.mkdir(mode=0o700)
    workspace.home.mkdir()
    workspace.tmp.mkdir()
    # Where pytest's search for a configuration ends, should the pack have none: the folders above are not the pack's.
    (workspace.folder / "pytest.ini").touch()
    copy_tree(tree, workspace.pack)


def remove_folder(folder: Path) -> None:
    """Remove a folder that a pack had in its hands: closed by modes, nested deeper than a path can name, or gone.

    Nothing may be changing it meanwhile. Raises OSError when something can't be removed.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if folder.exists():
            _remove_stubborn(folder)
    except (OSError, RecursionError):
        _remove_stubborn(folder)


def _remove_stubborn(folder: Path) -> None:
    """Open every folder, and move nested ones up to the top so that no path is ever long."""
    folder.chmod(stat.S_IRWXU)
    names = (folder / f".{number}.packd" for number in itertools.count())
    todo = [path for path in folder.iterdir() if _is_real_folder(path)]
    for path in folder.iterdir():
        if not _is_real_folder(path):
            path.unlink()
    while todo:
        current = todo.pop()
        current.chmod(stat.S_IRWXU)
        for path in list(current.iterdir()):
            if not _is_real_folder(path):
                path.unlink()
                continue
            path.chmod(stat.S_IRWXU)
            free = next(name for name in names if not os.path.lexists(name))
            todo.append(path.rename(free))
        current.rmdir()
    folder.rmdir()


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
