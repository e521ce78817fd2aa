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

from packd.testrun.carry import Carrier, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PACK: Final = "pack"
_HOME: Final = "home"
_TMP: Final = "tmp"
# Where pytest's search for a configuration ends, should the pack have none: the folders above are not the pack's.
_SEARCH_ENDS: Final = "pytest.ini"
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a run happens, as its suites see it. Where a sandbox fills it, none of it has to be on the disk."""

    folder: Path  # the run's own
    pack: Path  # the private copy; where suites start
    home: Path
    tmp: Path
    content: Path  # where packd can look at what is in `pack` when a suite begins: there, or the snapshot

    def at(self, path: Path) -> Path:
        """Where packd can look at what a suite finds at `path`, in the pack or elsewhere."""
        return self.content / path.relative_to(self.pack) if path.is_relative_to(self.pack) else path

    @property
    def is_furnished(self) -> bool:
        """Is it on the disk?"""
        return self.content == self.pack


def workspace_at(work_dir: Path, run_id: str, snapshot: Path | None = None) -> Workspace:
    """To be furnished; with `snapshot` it is to be filled with that.

    Raises ValueError when the id can't be the name of a folder.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError(f"{run_id!r} can't be a run id: letters, digits, '_', '-' and '.', at most 100")
    folder = work_dir / run_id
    pack = folder / _PACK
    return Workspace(folder=folder, pack=pack, home=folder / _HOME, tmp=folder / _TMP, content=snapshot or pack)


def furnish(workspace: Workspace, tree: Path, copy_tree: Callable[[Path, Path], None]) -> None:
    """Make the folder with a copy of `tree` in it. Raises OSError when there is no room, or the folder is there."""
    workspace.folder.mkdir(mode=0o700)
    workspace.home.mkdir()
    workspace.tmp.mkdir()
    (workspace.folder / _SEARCH_ENDS).touch()
    copy_tree(tree, workspace.pack)


def fill(snapshot: Path, links: Mapping[str, Path], folder: int, owner: tuple[int, int] | None) -> None:
    """The same into an open, empty folder of a sandbox, for `owner`; `links` are links in the pack. Raises OSError."""
    carrier = Carrier(owner=owner, writable=True, fresh=True)
    for name in (_HOME, _TMP, _PACK):
        carrier.make_folder(name, folder)
    carrier.make_file(_SEARCH_ENDS, folder)
    with opened(snapshot) as source, opened(_PACK, within=folder) as pack:
        carrier.carry(source, pack)
        for name, target in links.items():
            carrier.make_link(name, target, pack)


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
