"""What starts a script: its own first line, or else its ending."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_LONGEST: Final = 512  # bytes of a first line; the kernel reads 256
_BY_ENDING: Final = {
    ".sh": "sh",
    ".bash": "bash",
    ".js": "node",
    ".mjs": "node",
    ".cjs": "node",
    ".rb": "ruby",
    ".pl": "perl",
}
_ELF: Final = b"\x7fELF"


def command_line(script: Path, *, lies_at: Path, python: Path, search: str) -> tuple[str, ...] | str:
    """The command line that runs it, or a sentence that says why there is none; `lies_at` is where it can be read now.

    The file need not be executable: archives and checkouts lose that bit, and nothing else could have been meant.
    """
    first = _first_line(lies_at)
    if first is None:
        return f"'{script.name}' can't be read"
    if first.startswith(_ELF):
        return (str(script),) if os.access(lies_at, os.X_OK) else f"'{script.name}' is a program that is not executable"
    if not first.startswith(b"#!"):
        return _by_ending(script, python=python, search=search)
    return _by_shebang(script, first, search=search)


def _first_line(script: Path) -> bytes | None:
    try:
        with script.open("rb") as file:
            return file.readline(_LONGEST)
    except OSError:
        return None


def _by_shebang(script: Path, first: bytes, *, search: str) -> tuple[str, ...] | str:
    line = first[2:].rstrip(b"\n").decode("utf-8", "surrogateescape")
    if line.endswith("\r"):
        return f"the first line of '{script.name}' ends in a carriage return; save the file with Unix line endings"
    interpreter, argument = (*re.split(r"[ \t]+", line.strip(" \t"), maxsplit=1), "")[:2]
    if not interpreter or shutil.which(interpreter, path=search) is None:
        return f"'{script.name}' wants to be run by '{interpreter}', which is not on this machine"
    if interpreter.rpartition("/")[2] == "env" and argument:
        program = next((word for word in argument.split() if not word.startswith("-") and "=" not in word), "")
        if program and shutil.which(program, path=search) is None:
            return f"'{script.name}' wants to be run by '{program}', which is not on this machine"
    return (interpreter, *((argument,) if argument else ()), str(script))


def _by_ending(script: Path, *, python: Path, search: str) -> tuple[str, ...] | str:
    if script.suffix == ".py":
        return str(python), str(script)
    name = _BY_ENDING.get(script.suffix)
    if name is None:
        return f"'{script.name}' does not say what runs it; begin it with a line such as #!/bin/sh"
    found = shutil.which(name, path=search)
    return (found, str(script)) if found else f"'{script.name}' needs {name}, which is not on this machine"
