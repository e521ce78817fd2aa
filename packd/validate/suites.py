"""One declared suite: a runner of `testing.runners`, or an entry of `testing.discovery.tests`. Pure."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, get_args

from packd.domain.manifest import ResultFormat, RunnerType, Suite
from packd.validate.fields import inside, shown

if TYPE_CHECKING:
    from packd.validate.fields import Section
    from packd.validate.findings import Files

RUNNER_TYPES: Final[tuple[str, ...]] = get_args(RunnerType)
RESULT_FORMATS: Final[tuple[str, ...]] = get_args(ResultFormat)
_KEYS: Final = frozenset({
    "type", "entry_point", "command", "timeout", "result_format", "result_path",
    "requirements", "config", "env", "network",
})  # fmt: skip
_OTHER_NAMES: Final = {
    "shell": "script", "bash": "script", "sh": "script", "python": "unittest", "py.test": "pytest",
    "nodejs": "node", "javascript": "node", "mocha": "node", "make": "command", "exec": "command",
}  # fmt: skip
NAME_RULE: Final = "of 1 to 100 printable characters, under which its report is shown"
_ENV_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a suite's declaration is read against."""

    files: Files
    path: str  # the tests folder
    enabled: bool  # False: nobody will run it, so that it may point at what isn't there yet


def is_name(name: str) -> bool:
    """Can a suite be called so?"""
    return bool(name.strip()) and len(name) <= 100 and name.isprintable()


def runner_suite(section: Section, name: str, around: Surroundings) -> Suite | None:
    """The suite of one runner, or None when it can't be made out (the problems say why)."""
    section.unknown(_KEYS, "testing.unknown_key", "a runner")
    runner_type = _runner_type(section, name)
    runs = _what_runs(section, name, runner_type, around)
    details = _details(section, around)
    if runner_type is None or runs is None:
        return None
    return Suite(name=name, runner_type=runner_type, **runs, **details)


def _runner_type(section: Section, name: str) -> RunnerType | None:
    value = section.value.get("type")
    if value in RUNNER_TYPES:
        return cast("RunnerType", value)
    code, known = "testing.unknown_runner", ", ".join(RUNNER_TYPES)
    if value is None:
        meant = section.nearest(name, RUNNER_TYPES) or _OTHER_NAMES.get(name.casefold())
        message = f"The runner {shown(name)!r} has no type; it is one of: {known}"
        section.missing(code, message, "type", f"type: {meant}" if meant else None)
    else:
        message = f"The runner type {shown(value)!r} is not one of: {known}"
        section.complain(code, message, "type", suggestion=meant_runner(section, value))
    return None


def meant_runner(section: Section, value: Any) -> str | None:
    """The runner type that was probably meant."""
    if not isinstance(value, str):
        return None
    return _OTHER_NAMES.get(value.casefold()) or section.nearest(value, RUNNER_TYPES)


def _what_runs(section: Section, name: str, runner_type: str | None, around: Surroundings) -> dict[str, Any] | None:
    """The suite's `entry_point` or `command`; None after a problem."""
    command = checked_command(section)
    entry_point = None
    if "entry_point" in section:
        entry_point = _entry_point(section, runner_type, around)
        if entry_point is None:
            return None
    if command is not None and runner_type not in ("command", "tap", None):
        message = (
            f"A {runner_type} runner has an entry_point, not a command; use the type command to run a command line"
        )
        section.complain("testing.invalid_field", message, "command", key=True, suggestion="type: command")
        return None
    if runner_type == "command":
        if command is None and section.value.get("command") is None:
            _complain_of_no_command(section, name)
        return None if command is None else {"command": command}
    if command is not None:
        return {"command": command}
    if entry_point is None and runner_type in ("unittest", "pytest", "node", "jest") and "command" not in section:
        entry_point = around.path if around.files.kind(around.path) == "folder" else None
    if entry_point is None and runner_type is not None:
        message = f"The runner {shown(name)!r} has no entry_point; name the file that it runs"
        section.missing("testing.entry_point", message, "entry_point")
    return None if entry_point is None else {"entry_point": entry_point}


def _complain_of_no_command(section: Section, name: str) -> None:
    message = f"The runner {shown(name)!r} has no command; add a line such as 'command: make test'"
    section.missing("testing.missing_command", message, "command")


def checked_command(section: Section) -> str | None:
    """The `command` of a section; None when there is none, or after a problem."""
    command = section.text("command")
    if command is not None and not command.strip():
        section.complain("testing.missing_command", "The command is empty", "command")
        return None
    return command


def _entry_point(section: Section, runner_type: str | None, around: Surroundings) -> str | None:
    """The path that an `entry_point` names, or the dotted name, or the path with pytest's `::name`."""
    written = section.text("entry_point")
    if written is None:
        return None
    file, separator, test = written.partition("::") if runner_type == "pytest" else (written, "", "")
    path = inside(file)
    if path is None:
        message = f"The entry_point {shown(written)!r} does not stay inside the pack; give a path from its top"
        section.complain("testing.entry_point", message, "entry_point")
        return None
    kind = around.files.kind(path)
    if kind == "file" or (kind == "folder" and runner_type != "script") or not around.enabled:
        return path + separator + test
    if kind is None and runner_type == "unittest" and _is_module(written, around.files):
        return written
    why = {"folder": "is a folder, and a script is a file", "outside": "is a link that leads out of the pack"}
    message = f"The entry_point {shown(written)!r} {why.get(str(kind), 'does not exist in the pack')}"
    meant = near_path(section, around.files, path) if kind is None else None
    section.complain("testing.entry_point", message, "entry_point", suggestion=meant)
    return None


def _is_module(name: str, files: Files) -> bool:
    """Does a dotted name lead to a module of the pack, or to a class or a test in one?"""
    if not _DOTTED.fullmatch(name):
        return False
    parts = name.split(".")
    stems = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return files.kind(stems[-1]) == "folder" or any(files.kind(f"{stem}.py") == "file" for stem in stems)


def near_path(section: Section, files: Files, path: str) -> str | None:
    """The path that was probably meant: a name in the same folder, or the same name in a folder named alike."""
    folder, name = posixpath.split(path)
    near = section.nearest(name, [other for other in files.names(folder) if other != name])
    return None if near is None else posixpath.join(folder, near)


def _details(section: Section, around: Surroundings) -> dict[str, Any]:
    result_format = section.choice("result_format", RESULT_FORMATS, "testing.unknown_result_format")
    return {
        "timeout_s": checked_timeout(section),
        "result_format": cast("ResultFormat | None", result_format),
        "result_path": checked_path(section, "result_path"),
        "requirements": _existing(section, "requirements", around),
        "config": _existing(section, "config", around),
        "env": _env(section),
        "network": section.flag("network", default=False),
    }


def checked_timeout(section: Section) -> float | None:
    """The `timeout` of a section, in seconds."""
    timeout = section.number("timeout")
    if timeout is None or timeout > 0:
        return timeout
    section.complain("testing.invalid_timeout", "timeout must be more than 0 seconds", "timeout")
    return None


def checked_path(section: Section, key: str) -> str | None:
    """A path that need not exist yet, but stays inside the pack."""
    written = section.text(key)
    if written is None:
        return None
    path = inside(written)
    if path is None:
        message = f"{key} {shown(written)!r} does not stay inside the pack; give a path from its top"
        section.complain("testing.invalid_path", message, key)
    return path


def _existing(section: Section, key: str, around: Surroundings) -> str | None:
    path = checked_path(section, key)
    if path is None or not around.enabled or around.files.kind(path) == "file":
        return path
    message = f"The {key} file {shown(path)!r} does not exist in the pack"
    section.complain("testing.missing_file", message, key, suggestion=near_path(section, around.files, path))
    return None


def _env(section: Section) -> tuple[tuple[str, str], ...]:
    env = section.section("env")
    if env is None:
        return ()
    pairs = []
    for name, value in env.value.items():
        if not _ENV_NAME.fullmatch(name):
            env.complain("testing.invalid_env", f"{shown(name)!r} can't name an environment variable", name, key=True)
        elif name.startswith("PACKD_"):
            env.complain(
                "testing.invalid_env", "Variables that begin with PACKD_ are set by packd itself", name, key=True
            )
        elif isinstance(value, (dict, list)):
            env.complain("testing.invalid_env", f"The variable {name} must be text", name)
        else:
            pairs.append((name, env.written(name)))  # `DEBUG: 1` and `DEBUG: yes` are what was written
    return tuple(pairs)
