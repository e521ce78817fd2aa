"""The files of a stored, immutable pack: read within limits, and never outside it. The room's door to the disk."""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING, Final

from packd.domain.clipping import sayable
from packd.domain.problems import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from packd.validate.findings import PathKind, ValidationLimits

_NOT_THE_PACKS_OWN: Final = frozenset({"node_modules", "__pycache__"})
_PIECE: Final = 64 * 1024  # bytes that are read at a time: nearly always the whole file


class PackFiles:
    """Implements `Files` on a folder; what could not be looked at is in `problems`."""

    def __init__(self, tree: Path, limits: ValidationLimits) -> None:
        self.problems: list[Problem] = []
        self._tree = os.fspath(tree)
        self._limits = limits
        self._traversed = 0
        self.bytes_read = 0  # of metadata
        # What was found once stays so: the tree is immutable.
        self._kinds: dict[str, PathKind | None] = {}
        self._listings: dict[str, list[tuple[str, bool]]] = {}
        self._folders: set[str] = set()  # to which no link leads

    def kind(self, path: str) -> PathKind | None:
        if path not in self._kinds:
            self._kinds[path] = self._looked_up(path)
        return self._kinds[path]

    def names(self, folder: str) -> tuple[str, ...]:
        return tuple([name for name, _ in self._entries(folder)])

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
            content = self._read(path, most + 1)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "its name is not usable"
            message = f"The file can't be read: {why}"
            return Problem(code="metadata.unreadable", message=message, file=path)
        self.bytes_read += len(content)
        if len(content) > most:
            message = (
                f"The file is larger than {most // 1024} KiB, which is the most for a file that describes something"
            )
            return Problem(code="limits.metadata_file_too_large", message=message, file=path)
        return content

    def _read(self, path: str, most: int) -> bytes:
        opened = os.open(f"{self._tree}/{path}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = piece = os.read(opened, min(_PIECE, most))
            while piece and len(content) < most:
                piece = os.read(opened, min(_PIECE, most - len(content)))
                content += piece
        finally:
            os.close(opened)
        return content

    def _looked_up(self, path: str) -> PathKind | None:
        """Step by step, to see links: nearly always there are none, and one look at each new step says it all."""
        at = ""
        for part in path.split("/"):
            at = f"{at}/{part}" if at else part
            if at in self._folders:
                continue
            try:
                mode = os.lstat(f"{self._tree}/{at}").st_mode
            except (OSError, ValueError):
                return None
            if S_ISLNK(mode):
                return self._followed(path)
            if not S_ISDIR(mode):
                return "file" if S_ISREG(mode) and at == path else None
            self._folders.add(at)
        return "folder"

    def _followed(self, path: str) -> PathKind | None:
        full = f"{self._tree}/{path}"
        try:
            mode = os.stat(full).st_mode  # noqa: PTH116  # plain strings: a third of the time of Path
        except (OSError, ValueError):
            return None
        real, top = os.path.realpath(full), os.path.realpath(self._tree)
        if real != top and not real.startswith(f"{top}/"):
            return "outside"
        if S_ISDIR(mode):
            return "folder"
        return "file" if S_ISREG(mode) else None

    def _entries(self, folder: str) -> list[tuple[str, bool]]:
        """(name, is it a real folder) of what is in a folder, sorted, hidden names left out."""
        if folder not in self._listings:
            self._listings[folder] = sorted(self._listed(folder)) if self.kind(folder) == "folder" else []
        return self._listings[folder]

    def _listed(self, folder: str) -> list[tuple[str, bool]]:
        entries: list[tuple[str, bool]] = []
        try:
            with os.scandir(f"{self._tree}/{folder}") as scan:
                for entry in scan:
                    if not self._may_look():
                        break
                    if not entry.name.startswith(".") and self._is_sayable(folder, entry.name):
                        entries.append((entry.name, entry.is_dir(follow_symlinks=False)))
                        self._note(folder, entry)
        except OSError as error:
            message = f"The folder can't be read: {error.strerror}"
            self._complain("metadata.unreadable", message, folder or None)
        return entries

    def _note(self, folder: str, entry: os.DirEntry[str]) -> None:
        """The listing says already what most things in it are."""
        if folder not in self._folders:
            return
        path = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            self._kinds[path] = "folder"
            self._folders.add(path)
        elif entry.is_file(follow_symlinks=False):
            self._kinds[path] = "file"

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
