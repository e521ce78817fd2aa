"""Everything that is asked of a pack, applied to what was read of it. Pure: files are asked for through `Files`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from packd.domain.manifest import Manifest
from packd.domain.problems import Problem, Severity, errors
from packd.validate.components import own_stem, read_part
from packd.validate.dependencies import dependencies
from packd.validate.fields import Section
from packd.validate.findings import MANIFEST, Findings
from packd.validate.identity import (
    check_descriptions,
    check_drop_name,
    check_health,
    declared_ref,
    declared_version,
    label,
    python_dependencies,
    salvaged,
)
from packd.validate.references import check_target
from packd.validate.testing import no_tests, testing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packd.domain.positioned import Document
    from packd.validate.components import Part
    from packd.validate.findings import Files, Metadata, Runtime, ValidationLimits


def judge(
    document: Document,
    text: str,
    metadata: Sequence[Metadata],
    *,
    name: str,
    files: Files,
    runtime: Runtime,
    limits: ValidationLimits,
    found: Sequence[Problem] = (),
) -> Findings:
    """All findings of a pack that has a pack.yaml.

    `document` and `text` are that pack.yaml, `metadata` the component files, `name` the child that it was dropped as;
    `found` are the problems that reading met already.
    """
    problems = [*found, *document.problems, *(problem for one in metadata for problem in one.document.problems)]
    said = _said(document, text, problems, name=name, files=files, runtime=runtime)
    parts = [part for one in metadata if (part := read_part(one, said.ref, files, problems)) is not None]
    _check_duplicates(parts)
    all_read = not any(problem.code.startswith("limits.") for problem in found)
    if said.ref is not None and all_read:
        _check_targets(parts, metadata, said.ref)
    ordered = in_order(problems, limits.problems)
    if said.manifest is None or errors(ordered):
        return replace(said, manifest=None, problems=ordered)
    components = tuple(part.component for part in parts if part.component is not None)
    return replace(said, manifest=replace(said.manifest, components=components), problems=ordered)


def in_order(problems: Iterable[Problem], most: int) -> tuple[Problem, ...]:
    """About the pack first, then pack.yaml, then by file and place; what is over the limit becomes one problem.

    Those that reject are kept before any warning.
    """
    ordered = sorted(dict.fromkeys(problems), key=_place)
    if len(ordered) <= most:
        return tuple(ordered)
    message = f"There are {len(ordered)} problems; the first {most} are shown"
    severity: Severity = "error" if errors(tuple(ordered)) else "warning"
    exceeded = Problem(code="limits.problems_exceeded", message=message, severity=severity)
    kept = sorted(ordered, key=lambda problem: problem.severity != "error")[:most]
    return (*sorted(kept, key=_place), exceeded)


def _place(problem: Problem) -> tuple[bool, bool, str, int, int, str, str]:
    file = problem.file or ""
    where = (problem.file is not None, file != MANIFEST, file, problem.line or 0, problem.column or 0)
    return (*where, problem.code, problem.message)


def _said(
    document: Document, text: str, problems: list[Problem], *, name: str, files: Files, runtime: Runtime
) -> Findings:
    """What pack.yaml by itself says, its manifest without components; what is wrong with it is added to `problems`."""
    if not document.complete:
        ref, version = salvaged(document, text)
        return Findings(ref=ref, version=version)
    if not isinstance(document.value, dict):
        what = "is empty" if document.value is None else "is no mapping"
        message = f"pack.yaml {what}; it is made of lines of 'key: value', at least 'ref: …' and 'version: …'"
        problems.append(document.problem("manifest.not_object", message, ()))
        return Findings()
    section = Section(document, (), document.value, problems, "manifest.invalid_field")
    ref, version = declared_ref(section, name), declared_version(section)
    if ref is not None:
        check_drop_name(section, ref, name)
    check_descriptions(section)
    check_health(section)
    needed = dependencies(section, ref, runtime)
    tests = testing(section, files)
    without = no_tests(section, tests)
    place = document.at(("testing", "enabled")) if without == "disabled" else None
    said = Findings(ref=ref, version=version, no_tests=without, switched_off_at=place)
    if ref is None or version is None:
        return said
    description, enabled = document.value.get("description"), document.value.get("enabled")
    manifest = Manifest(
        ref=ref,
        version=version,
        label=label(section),
        description=description if isinstance(description, str) else "",
        enabled=enabled is not False,
        needs=needed.needs,
        python_version=needed.python_version,
        nodejs_version=needed.nodejs_version,
        python_dependencies=python_dependencies(section),
        testing=tests,
        fields=document.value,
    )
    return replace(said, manifest=manifest)


def _check_duplicates(parts: Iterable[Part]) -> None:
    """A ref is unique within the pack, except that an action and the workflow that it runs are one thing."""
    first: dict[str, Part] = {}
    first_of_kind: dict[tuple[str, str], Part] = {}
    for part in parts:
        if part.ref is None:
            continue
        other = first_of_kind.setdefault((part.kind, part.ref), part)
        if other is part:
            other = first.setdefault(part.ref, part)
            if other is part or _one_thing(other, part):
                continue
        message = f"The ref {part.ref!r} is taken by {other.path}; a ref is unique within the pack"
        at = () if part.named_by is None else (part.named_by,)
        part.section.complain("component.duplicate_ref", message, *at)


def _one_thing(one: Part, other: Part) -> bool:
    if {one.kind, other.kind} != {"action", "workflow"}:
        return False
    action, workflow = (one, other) if one.kind == "action" else (other, one)
    return action.workflow == workflow.path or workflow.named_by is None


def _check_targets(parts: Sequence[Part], metadata: Sequence[Metadata], pack: str) -> None:
    known: dict[str, set[str]] = {}
    for part in parts:
        if part.ref is not None:
            known.setdefault(part.ref, set()).add(part.kind)
        for trigger in part.triggers:
            known.setdefault(f"{pack}.{trigger.removeprefix(f'{pack}.')}", set()).add("trigger")
    named = {part.path for part in parts if part.ref is not None}
    unread = {own_stem(one.document.file) for one in metadata if one.document.file not in named}
    read = {part.path for part in parts}
    sensors_read = all(one.document.file in read for one in metadata if one.kind == "sensor")
    for part in parts:
        for reference in part.refers_to:
            all_known = sensors_read or reference.to != "trigger"  # a sensor may define triggers
            check_target(part.section, reference, pack, known, unread, all_known=all_known)
