"""What an action or a sensor runs: its runner type, and an entry point that exists. Pure."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.validate.fields import inside, shown
from packd.validate.suites import near_path

if TYPE_CHECKING:
    from packd.domain.manifest import ComponentKind
    from packd.validate.fields import Section
    from packd.validate.findings import Files

# An entry point of these is a workflow definition.
_WORKFLOWS: Final = frozenset({"orquesta", "mistral-v2", "workflow", "action-chain"})
# The platform brings the program: the entry point has a name, and no file in the pack.
_BUILT_IN: Final = frozenset({"native", "builtin", "standalone", "http"})
# StackStorm's runners that are told what to do by parameters alone; their entry point is left out or empty.
_BY_PARAMETERS: Final = frozenset({
    "local-shell-cmd", "remote-shell-cmd", "run-local", "run-remote", "http-request", "http-runner", "inquirer",
    "announcement", "noop", "winrm-cmd", "winrm-ps-cmd", "windows-cmd",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is run, as far as it is known."""

    runner_type: str | None = None
    entry_point: str | None = None  # a file inside the pack
    is_workflow: bool = False


def checked_program(section: Section, kind: ComponentKind, files: Files) -> Program:
    """The program of an action or a sensor; other kinds have none."""
    if kind not in ("action", "sensor"):
        return Program()
    if "workflow_file" in section:
        path = _file(section, "actions", "workflow_file", "action.workflow_missing", files)
        return Program(runner_type=section.text("runner_type"), entry_point=path, is_workflow=True)
    runner_type = _runner_type(section, kind)
    folded = (runner_type or "").casefold()
    is_workflow = folded in _WORKFLOWS
    if folded in _BY_PARAMETERS:
        return Program(runner_type=runner_type)
    code = "action.workflow_missing" if is_workflow else f"{kind}.entrypoint"
    if not section.value.get("entry_point"):
        folder = f"{kind}s"
        message = f"The {kind} has no entry_point; name the file in {folder}/ that it runs"
        section.missing(code, message, "entry_point")
        return Program(runner_type=runner_type, is_workflow=is_workflow)
    if folded in _BUILT_IN:
        section.text("entry_point", code)
        return Program(runner_type=runner_type)
    path = _file(section, f"{kind}s", "entry_point", code, files)
    return Program(runner_type=runner_type, entry_point=path, is_workflow=is_workflow)


def _runner_type(section: Section, kind: ComponentKind) -> str | None:
    code = f"{kind}.runner_type"
    runner_type = section.text("runner_type", code)
    if runner_type or (kind == "sensor" and "class_name" in section):  # a StackStorm sensor is always a Python class
        return runner_type
    if "runner_type" not in section or runner_type == "":
        message = f"The {kind} has no runner_type; say what runs it, such as shell, python or nodejs"
        section.missing(code, message, "runner_type")
    return None


def _file(section: Section, folder: str, key: str, code: str, files: Files) -> str | None:
    """The path inside the pack of a file that a component names relative to its folder."""
    written = section.text(key, code)
    if written is None:
        return None
    path = inside(posixpath.join(folder, written))
    if path is None or written.startswith("/"):
        message = f"The {key} {shown(written)!r} does not stay inside the pack; give a path from {folder}/"
        section.complain(code, message, key)
        return None
    kind = files.kind(path)
    if kind == "file":
        return path
    why = {"folder": "is a folder", "outside": "is a link that leads out of the pack"}.get(str(kind), "does not exist")
    message = f"The {key} {shown(written)!r} {why}; it is looked for at {shown(path)!r}"
    meant = _meant(section, written, folder, path, files) if kind is None else None
    section.complain(code, message, key, suggestion=meant)
    return None


def _meant(section: Section, written: str, folder: str, path: str, files: Files) -> str | None:
    from_top = inside(written)
    if from_top is not None and from_top.startswith(f"{folder}/") and files.kind(from_top) == "file":
        return from_top.removeprefix(f"{folder}/")
    near = near_path(section, files, path)
    return None if near is None else posixpath.relpath(near, folder)
