"""The files of a stored, immutable pack: read within limits, and never outside it. The room's door to the disk."""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING

from packd.domain.clipping import sayable
from packd.domain.problems import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from packd.validate.findings import PathKind, ValidationLimits

_NOT_THE_PACKS_OWN = frozenset({"node_modules", "__pycache__"})


class PackFiles:
    """Implements `Files` on a folder; what could not be looked at is in `problems`."""

    def __init__(self, tree: Path, limits: ValidationLimits) -> None:
        self.problems: list[Problem] = []
        self._tree = os.fspath(tree)
        self._real = os.path.realpath(tree)
        self._limits = limits
        self._traversed = 0

    def kind(self, path: str) -> PathKind | None:
        full = f"{self._tree}/{path}"
        try:
            mode = os.stat(full).st_mode  # noqa: PTH116  # plain strings: a third of the time of Path
        except (OSError, ValueError):
            return None
        if self._leads_outside(path):
            return "outside"
        if S_ISDIR(mode):
            return "folder"
        return "file" if S_ISREG(mode) else None

    def names(self, folder: str) -> tuple[str, ...]:
        return tuple(sorted(name for name, _ in self._entries(folder)))

    def under(self, folder: str) -> tuple[str, ...]:
        found: list[str] = []
        todo = [folder]
        while todo:
            current = todo.pop()
            for name, is_folder in self._entries(current):
                path = f"{current}/{name}" if current else name
                if is_folder and name not in _NOT_THE_PACKS_OWN:
                    todo.append(path)
                elif not is_folder and self.kind(path) == "file":
                    found.append(path)
        return tuple(sorted(found))

    def source(self, path: str) -> str:
        content = self.read(path)
        return "" if isinstance(content, Problem) else content.decode("utf-8", "replace")

    def read(self, path: str) -> bytes | Problem:
        """The content of a metadata file, or why there is none."""
        if self.kind(path) == "outside":
            message = "This is a link that leads out of the pack; put the file itself here"
            return Problem(code="metadata.unreadable", message=message, file=path)
        most = self._limits.metadata_file_bytes
        try:
            with open(f"{self._tree}/{path}", "rb", buffering=0) as file:  # noqa: PTH123
                content = file.read(most + 1) or b""
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "its name is not usable"
            message = f"The file can't be read: {why}"
            return Problem(code="metadata.unreadable", message=message, file=path)
        if len(content) > most:
            message = (
                f"The file is larger than {most // 1024} KiB, which is the most for a file that describes something"
            )
            return Problem(code="limits.metadata_file_too_large", message=message, file=path)
        return content

    def _leads_outside(self, path: str) -> bool:
        """Looks for links step by step first: nearly always there are none, and realpath takes four times as long."""
        full = self._tree
        for part in path.split("/"):
            full = f"{full}/{part}"
            if S_ISLNK(os.lstat(full).st_mode):
                real = os.path.realpath(f"{self._tree}/{path}")
                return real != self._real and not real.startswith(f"{self._real}/")
        return False

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        """(name, is it a real folder) of what is in a folder, hidden names left out."""
        if self.kind(folder) != "folder":
            return []
        entries: list[tuple[str, bool]] = []
        try:
            with os.scandir(f"{self._tree}/{folder}") as scan:
                for entry in scan:
                    if not self._may_look():
                        break
                    if not entry.name.startswith(".") and self._is_sayable(folder, entry.name):
                        entries.append((entry.name, entry.is_dir(follow_symlinks=False)))
        except OSError as error:
            message = f"The folder can't be read: {error.strerror}"
            self._complain("metadata.unreadable", message, folder or None)
        return entries

    def _may_look(self) -> bool:
        self._traversed += 1
        if self._traversed <= self._limits.traversed_entries:
            return True
        message = (
            f"There are more than {self._limits.traversed_entries} files and folders where components and tests are "
            "looked for; move data elsewhere in the pack"
        )
        self._complain("limits.traversed_entries_exceeded", message, None)
        return False

    def _is_sayable(self, folder: str, name: str) -> bool:
        if sayable(name) == name:
            return True
        path = f"{folder}/{sayable(name)}" if folder else sayable(name)
        self._complain("metadata.unreadable", "The name of this file is not UTF-8; rename it", path)
        return False

    def _complain(self, code: str, message: str, file: str | None) -> None:
        problem = Problem(code=code, message=message, file=file)
        if problem not in self.problems:
            self.problems.append(problem)
