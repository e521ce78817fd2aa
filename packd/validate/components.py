"""One component file: what it is called, what it runs, whom it refers to. Pure."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from packd.domain.manifest import Component, ComponentKind
from packd.validate.fields import Section, shown
from packd.validate.programs import checked_program
from packd.validate.references import Reference, defined_triggers, references

if TYPE_CHECKING:
    from packd.domain.problems import Problem
    from packd.validate.findings import Files, Metadata

FOLDERS: Final[dict[str, ComponentKind]] = {
    "actions": "action",
    "actions/workflows": "workflow",
    "sensors": "sensor",
    "triggers": "trigger",
    "rules": "rule",
    "workflows": "workflow",
    "policies": "policy",
    "queues": "queue",
    "runtimes": "runtime",
    "permission_sets": "permission_set",
    "caches": "cache",
    "dashboards": "dashboard",
}

_LONGEST_REF: Final = 255
# `ref` is attune's way to name a component, `name` (with an optional `pack`) StackStorm's, which allows capitals; its
# sensors go by their `class_name`.
_REF_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_][a-z0-9_-]*)*")
_ANY_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A component file as the rest of the pack sees it."""

    section: Section
    kind: ComponentKind
    path: str
    ref: str | None = None  # full; None when it can't be told, because the file or the pack's own ref is broken
    named_by: str | None = None  # the key that says what it is called; None: a workflow called after its file
    workflow: str | None = None  # an action's workflow file, inside the pack
    refers_to: tuple[Reference, ...] = ()
    triggers: tuple[str, ...] = ()  # names of the triggers that a sensor defines itself
    component: Component | None = None


def read_part(metadata: Metadata, pack: str | None, files: Files, problems: list[Problem]) -> Part | None:
    """Check one component file; `pack` is the pack's ref. None when it holds no component."""
    document = metadata.document
    if not document.complete:
        return None
    if not isinstance(document.value, dict):
        what = "is empty" if document.value is None else "is no mapping"
        message = f"The file {what}; {_a(metadata.kind)} is described by lines of 'key: value'"
        problems.append(document.problem("component.not_object", message, ()))
        return None
    section = Section(document, (), document.value, problems, "component.invalid_field")
    named_by = _naming_key(section, metadata.kind)
    named = _ref(section, metadata.kind, pack, named_by)
    label, description = _descriptions(section, named)
    program = checked_program(section, metadata.kind, files)
    component = None
    if pack is not None and named is not None:
        component = Component(
            kind=metadata.kind,
            ref=f"{pack}.{named}",
            label=label,
            description=description,
            path=document.file,
            runner_type=program.runner_type,
            entry_point=program.entry_point,
        )
    return Part(
        section=section,
        kind=metadata.kind,
        path=document.file,
        ref=None if component is None else component.ref,
        named_by=named_by,
        workflow=program.entry_point if program.is_workflow else None,
        refers_to=tuple(references(section, metadata.kind)),
        triggers=tuple(defined_triggers(section)) if metadata.kind == "sensor" else (),
        component=component,
    )


def _a(kind: ComponentKind) -> str:
    """The kind behind its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind.replace('_', ' ')}"


def _naming_key(section: Section, kind: ComponentKind) -> str | None:
    """The key that says what the component is called."""
    keys = ("ref", "name", "class_name") if kind == "sensor" else ("ref", "name")
    return next((key for key in keys if key in section), None)


def _ref(section: Section, kind: ComponentKind, pack: str | None, named_by: str | None) -> str | None:
    """The component's name inside the pack."""
    if named_by is not None:
        return _from_ref(section, pack) if named_by == "ref" else _from_name(section, pack, named_by)
    stem = own_stem(section.document.file)
    if kind == "workflow" and section.document.file.startswith("actions/") and _ANY_NAME.fullmatch(stem):
        return stem  # the definition of an action, which is what carries the ref
    example = _example(section, pack)
    message = f"There is no ref, so the {kind.replace('_', ' ')} has no name; add a line such as '{example}'"
    section.missing("component.invalid_ref", message, "ref", example)
    return None


def _example(section: Section, pack: str | None) -> str:
    """A line that gives the component a ref, after its file."""
    return f"ref: {pack or '<pack>'}.{_folded(own_stem(section.document.file)) or 'name'}"


def _folded(name: str) -> str | None:
    """`name` with what a ref can't have replaced."""
    folded = re.sub(r"[^a-z0-9_.-]+", "_", name.lower()).strip("._-")
    return folded if _REF_NAME.fullmatch(folded) else None


def own_stem(path: str) -> str:
    """`actions/workflows/deploy.workflow.yaml` → `deploy`."""
    return posixpath.basename(path).rsplit(".", 1)[0].removesuffix(".workflow")


def _from_ref(section: Section, pack: str | None) -> str | None:
    ref = section.text("ref", "component.invalid_ref")
    if ref is None:
        return None
    if not _REF_NAME.fullmatch(ref) or len(ref) > _LONGEST_REF:
        message = f"The ref {shown(ref)!r} is not '<pack>.<name>' in at most {_LONGEST_REF} lower-case letters, digits, '_' and '-'"
        section.complain("component.invalid_ref", message, "ref", suggestion=_folded(ref))
        return None
    owner, dot, name = ref.partition(".")
    if not dot:
        return ref
    if pack is not None and owner != pack:
        message = f"The ref {shown(ref)!r} belongs to the pack {shown(owner)!r}, and this is {pack!r}"
        section.complain("component.ref_pack_mismatch", message, "ref", suggestion=f"{pack}.{name}")
        return None
    return name


def _from_name(section: Section, pack: str | None, key: str) -> str | None:
    owner = section.text("pack", "component.ref_pack_mismatch")
    if pack is not None and owner is not None and owner != pack:
        message = f"This belongs to the pack {shown(owner)!r}, and the pack here is {pack!r}"
        section.complain("component.ref_pack_mismatch", message, "pack", suggestion=pack)
        return None
    name = section.text(key, "component.invalid_ref")
    if name is None:
        return None
    if pack is not None:
        name = name.removeprefix(f"{pack}.")
    if _ANY_NAME.fullmatch(name) and len(name) <= _LONGEST_REF:
        return name
    example = _example(section, pack)
    message = f"There is no ref, and the {key} {shown(name)!r} can't be one; add a line such as '{example}'"
    section.complain("component.invalid_ref", message, key, suggestion=example)
    return None


def _descriptions(section: Section, named: str | None) -> tuple[str, str]:
    label, description = section.text("label"), section.text("description")
    if label is None and "ref" in section:
        label = section.text("name")
    section.flag("enabled", default=True)
    return label or named or "", description or ""
