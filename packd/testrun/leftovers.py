"""What a killed daemon left behind: at the next start, its runs' processes are killed and their folders removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packd.testrun.mark import Mark, work_folder_of
from packd.testrun.processes import Family, everyone
from packd.testrun.workspace import remove_folder

if TYPE_CHECKING:
    from collections.abc import Iterable
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
    left = [_ended(folder) for folder in sorted({*_marked(work_dir), *_folders(work_dir)})]
    return Leftovers(
        processes=sum(one.processes for one in left),
        folders=sum(one.folders for one in left),
        troubles=tuple(trouble for one in left for trouble in one.troubles),
    )


def end_run(work_dir: Path, run_id: str) -> str | None:
    """The same for one run whose process was lost; a sentence when something of it can't be ended."""
    work_dir = work_dir.resolve()
    own = [folder for folder in {*_marked(work_dir), *_folders(work_dir)} if folder.name.split(".")[0] == run_id]
    return "; ".join(trouble for folder in sorted(own) for trouble in _ended(folder).troubles) or None


def end_probes(folders: Iterable[Path]) -> None:
    """The same for the folders of trials of the sandbox, which a daemon was killed in."""
    for folder in folders:
        _ended(folder)


def _ended(folder: Path) -> Leftovers:
    killed = Family(mark=Mark.of(folder), adopting=False).kill()
    folders, troubles = 0, []
    if killed.stubborn:
        troubles.append(f"processes of {folder.name} can't be killed: {', '.join(map(str, killed.stubborn))}")
    if folder.exists():
        try:
            remove_folder(folder)
            folders = 1
        except OSError as error:
            troubles.append(f"the folder of {folder.name} can't be removed: {error}")
    return Leftovers(processes=killed.count, folders=folders, troubles=tuple(troubles))


def _folders(work_dir: Path) -> list[Path]:
    return [path for path in work_dir.iterdir() if path.is_dir()]


def _marked(work_dir: Path) -> set[Path]:
    """Folders that processes name as theirs, though they may be gone already."""
    named = (work_folder_of(pid) for pid in everyone())
    return {folder for folder in named if folder is not None and folder.parent == work_dir}
