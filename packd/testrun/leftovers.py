"""What a killed daemon left behind: at the next start, its runs' processes are killed and their folders removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packd.testrun.mark import Mark, work_folder_of
from packd.testrun.processes import Family, everyone
from packd.testrun.workspace import remove_folder

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """What was found."""

    processes: int = 0  # killed
    folders: int = 0  # removed
    troubles: tuple[str, ...] = ()  # what could not be killed or removed, as sentences


def kill_leftovers(work_dir: Path) -> Leftovers:
    """Kill every process of a run under `work_dir` and remove every run's folder.

    To be called before anything runs there, by the only daemon that uses the folder.
    """
    if not work_dir.is_dir():
        return Leftovers()
    work_dir = work_dir.resolve()
    processes, folders, troubles = 0, 0, []
    for folder in sorted({*_marked(work_dir), *(path for path in work_dir.iterdir() if path.is_dir())}):
        killed = Family(mark=Mark.of(folder), adopting=False).kill()
        processes += killed.count
        if killed.stubborn:
            troubles.append(f"processes of {folder.name} can't be killed: {', '.join(map(str, killed.stubborn))}")
        if folder.exists():
            try:
                remove_folder(folder)
                folders += 1
            except OSError as error:
                troubles.append(f"the folder of {folder.name} can't be removed: {error}")
    return Leftovers(processes=processes, folders=folders, troubles=tuple(troubles))


def _marked(work_dir: Path) -> set[Path]:
    """Folders that processes name as theirs, though they may be gone already."""
    named = (work_folder_of(pid) for pid in everyone())
    return {folder for folder in named if folder is not None and folder.parent == work_dir}
