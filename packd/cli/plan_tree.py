"""The plan of an installation as a tree: what was asked for at the top, what it needs below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packd.cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def tree(steps: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Its lines. A pack that several need is written out once, and named at the other places."""
    by_ref = {step["ref"]: step for step in steps}
    tops = [step for step in steps if step["asked"]] or list(steps)
    seen: set[str] = set()
    for top in tops:
        yield from _branch(top, by_ref, seen, "", "")


def _branch(
    step: dict[str, Any], by_ref: dict[str, dict[str, Any]], seen: set[str], lead: str, below: str
) -> Iterator[str]:
    if step["ref"] in seen:
        yield f"{lead}{_name(step)} (above)"
        return
    seen.add(step["ref"])
    yield f"{lead}{one_line(_line(step))}"
    needs = [by_ref[ref] for ref in step["needs"] if ref in by_ref]
    for number, need in enumerate(needs, start=1):
        last = number == len(needs)
        yield from _branch(
            need, by_ref, seen, below + ("└── " if last else "├── "), below + ("    " if last else "│   ")
        )


def _line(step: dict[str, Any]) -> str:
    index = f", index {step['index']}" if step["index"] else ""
    source = f" from {step['source']}" if step["source"] else ""
    match step["action"]:
        case "keep":
            return f"{_name(step)} (in use)"
        case "install":
            return f"{_name(step)} (new{index}){source}"
        case "reinstall":
            return f"{_name(step)} (again{index}){source}"
        case _:
            return f"{_name(step)} (instead of {step['before']}{index}){source}"


def _name(step: dict[str, Any]) -> str:
    return f"{step['ref']} {step['version']}"
