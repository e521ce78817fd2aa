"""Whom components refer to, and whether the pack's own ones are there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from packd.validate.fields import shown

if TYPE_CHECKING:
    from packd.domain.manifest import ComponentKind
    from packd.domain.positioned import KeyPath
    from packd.validate.fields import Section

_REFERENCE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")
# What a reference to the word on the left may lead to.
TARGETS: Final[dict[str, tuple[ComponentKind, ...]]] = {
    "action": ("action", "workflow"),
    "trigger": ("trigger",),
    "sensor": ("sensor",),
}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One component named by another."""

    to: str  # "action", "trigger" or "sensor"
    ref: str  # as written: full, or the bare name of a component of the same pack
    path: KeyPath  # where it stands in its file


def references(section: Section, kind: ComponentKind) -> Iterator[Reference]:
    """All references in one component file; malformed ones in a rule are problems."""
    if kind == "rule":
        yield from _of_rule(section, "trigger", ("ref", "type"))
        yield from _of_rule(section, "action", ("ref",))
    elif kind == "sensor":
        yield from _of_sensor(section)
    elif kind == "workflow":
        yield from _of_tasks(section.value.get("tasks"), ("tasks",))
    elif kind == "policy":
        yield from _at(section, "action_ref", "action")
    elif kind == "queue":
        yield from _at(section, "dispatch_action", "action")
    elif kind == "cache" and section.value.get("owner_type") in ("action", "sensor"):
        yield from _at(section, "owner_ref", section.value["owner_type"])


def defined_triggers(section: Section) -> Iterator[str]:
    """Names of the triggers that a StackStorm sensor defines in its own file."""
    items = section.value.get("trigger_types")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            yield item["name"]


def _at(section: Section, key: str, to: str) -> Iterator[Reference]:
    value = section.value.get(key)
    if isinstance(value, str) and _REFERENCE.fullmatch(value):
        yield Reference(to=to, ref=value, path=(key,))


def _of_rule(section: Section, to: str, keys: tuple[str, ...]) -> Iterator[Reference]:
    """`action_ref: p.a`, `action: p.a` or `action: {ref: p.a}`; for triggers StackStorm says `type` instead of `ref`."""
    code = "rule.invalid_reference"
    path, value = _rule_value(section, to, keys)
    if value is None:
        message = f"The rule names no {to}; add a line such as '{to}_ref: <pack>.<name>'"
        section.missing(code, message, str(path[0]))
    elif isinstance(value, str) and _REFERENCE.fullmatch(value):
        yield Reference(to=to, ref=value, path=path)
    else:
        said = repr(shown(value)) if isinstance(value, str) else "This"
        section.complain(code, f"{said} does not name {_a(to)}; write it as '<pack>.<name>'", *path)


def _a(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _rule_value(section: Section, to: str, keys: tuple[str, ...]) -> tuple[KeyPath, Any]:
    key = f"{to}_ref" if f"{to}_ref" in section or to not in section else to
    value = section.value.get(key)
    if isinstance(value, dict):
        inner = next((inner for inner in keys if value.get(inner) is not None), None)
        return ((key,), None) if inner is None else ((key, inner), value[inner])
    return (key,), value


def _of_sensor(section: Section) -> Iterator[Reference]:
    for key in ("trigger_types", "trigger_type"):
        value = section.value.get(key)
        if isinstance(value, str):
            yield from _at(section, key, "trigger")
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, str) and _REFERENCE.fullmatch(item):
                yield Reference(to="trigger", ref=item, path=(key, index))


def _of_tasks(tasks: Any, path: KeyPath) -> Iterator[Reference]:
    """Tasks are a mapping by name (orquesta) or a list, where a task may hold tasks; bounded by the depth of the YAML."""
    steps: Iterable[tuple[str | int, Any]] = ()
    if isinstance(tasks, dict):
        steps = tasks.items()
    elif isinstance(tasks, list):
        steps = enumerate(tasks)
    for step, task in steps:
        if not isinstance(task, dict):
            continue
        action = task.get("action")
        word = action.split(maxsplit=1)[0] if isinstance(action, str) and action.strip() else ""  # `p.a x=1` names p.a
        if "." in word and _REFERENCE.fullmatch(word):
            yield Reference(to="action", ref=word, path=(*path, step, "action"))
        yield from _of_tasks(task.get("tasks"), (*path, step, "tasks"))


def check_target(
    section: Section,
    reference: Reference,
    pack: str,
    known: Mapping[str, set[str]],
    unread: set[str],
    *,
    all_known: bool,
) -> None:
    """Complain of a reference into this pack that leads nowhere.

    `known` is full ref → kinds; `unread` are the names of component files that could not be read. Where not all that it
    may lead to is known only a slip of the pen is told.
    """
    full = reference.ref if "." in reference.ref else f"{pack}.{reference.ref}"
    name = full.removeprefix(f"{pack}.")
    if name == full or name in unread or known.get(full, set()) & {*TARGETS[reference.to]}:
        return
    same_kind = (ref for ref, kinds in known.items() if kinds & {*TARGETS[reference.to]})
    meant = section.nearest(full, same_kind)
    if meant is None and not all_known:
        return
    other = " or ".join(sorted(known.get(full, ())))
    message = f"This pack has no {reference.to} {shown(full)!r}" + (f", only {_a(other)} of that name" if other else "")
    section.complain("reference.missing_local_target", message, *reference.path, suggestion=meant)
