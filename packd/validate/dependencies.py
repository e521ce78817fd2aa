"""The `dependencies:` section: which packs are needed, and which interpreters. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from packd.domain.manifest import Need
from packd.domain.ranges import as_range, in_range, range_meant
from packd.domain.refs import is_ref, ref_from_name
from packd.domain.yaml_scalars import in_yaml
from packd.validate.fields import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from packd.validate.fields import Section
    from packd.validate.findings import Runtime

_SHOWN: Final = 8  # versions in a sentence
_RANGE_RULE: Final = "a range is written like '>=1.2,<2', '^1.2', '1.2.*' or '*'"
_WITHOUT_AT: Final = re.compile(r"([a-z][a-z0-9_-]*)(?:\s*(?=[<>=!~^])|\s*[:\s]\s*(?=[<>=!~^\d*]))(.+)")


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """All that a pack needs."""

    needs: tuple[Need, ...] = ()
    python_version: str | None = None  # a range
    nodejs_version: str | None = None


def dependencies(manifest: Section, ref: str | None, runtime: Runtime) -> Dependencies:
    """Read the section in any of its forms; `ref` is the pack's own."""
    value = manifest.value.get("dependencies")
    if isinstance(value, list):
        return Dependencies(needs=_needs(manifest, "dependencies", value, ref))
    if value is not None and not isinstance(value, dict):
        message = "dependencies must be a list of packs, or a mapping with 'packs', 'python_version', 'nodejs_version'"
        manifest.complain("dependency.invalid", message, "dependencies")
        return Dependencies()
    section = manifest.below(value or {}, "dependencies", code="dependency.invalid")
    known = ("packs", "python_version", "nodejs_version")
    section.unknown(known, "dependency.unknown_key", "dependencies (they are: packs, python_version, nodejs_version)")
    return Dependencies(
        needs=_needs(section, "packs", section.items("packs") or [], ref),
        python_version=_interpreter(section, "python_version", "Python", runtime.python, runtime.other_pythons),
        nodejs_version=_interpreter(section, "nodejs_version", "Node.js", runtime.node, tuple),
    )


def _needs(section: Section, key: str, items: list[Any], own: str | None) -> tuple[Need, ...]:
    needs: dict[str, Need] = {}
    for index, item in enumerate(items):
        need = _need(section, key, index, item)
        if need is None:
            continue
        if need.ref == own:
            section.complain("dependency.itself", f"The pack {own!r} needs itself; remove this line", key, index)
        elif need.ref in needs:
            message = f"{need.ref!r} is named twice; name it once, with one range such as '>=1.2,<2'"
            section.complain("dependency.duplicate_ref", message, key, index)
        else:
            needs[need.ref] = need
    return tuple(needs.values())


def _need(section: Section, key: str, index: int, item: Any) -> Need | None:
    if isinstance(item, str):
        ref, spec = _from_text(section, key, index, item)
    elif isinstance(item, dict):
        ref, spec = _from_mapping(section.below(item, key, index, code="dependency.invalid"))
    else:
        message = "Name a pack like 'core', 'core@>=1.2' or {ref: core, version: \">=1.2\"}"
        section.complain("dependency.invalid", message, key, index)
        return None
    return Need(ref=ref, range=spec) if ref and spec else None


def _from_text(section: Section, key: str, index: int, item: str) -> tuple[str | None, str | None]:
    if "/" in item:
        return _checked_ref(section, "", item, key, index), None
    name, at, wanted = item.partition("@")
    ref = _checked_ref(section, name.strip(), item, key, index)
    return ref, _checked_range(section, wanted, key, index) if at and ref else "*"


def _from_mapping(section: Section) -> tuple[str | None, str | None]:
    section.unknown(("ref", "name", "version"), "dependency.unknown_key", "a needed pack (they are: ref, version)")
    key = "ref" if "ref" in section or "name" not in section else "name"
    ref = section.name(key, "dependency.invalid_ref", is_ref)
    if key not in section:
        message = "This entry names no pack; add 'ref: …'"
        section.missing("dependency.invalid_ref", message, "ref")
    known_ref = None if ref is None else _checked_ref(section, ref, ref, key)
    if "version" not in section:
        return known_ref, "*"
    wanted = section.text("version", "dependency.invalid_range")
    return known_ref, None if wanted is None else _checked_range(section, wanted, "version")


def _checked_ref(section: Section, ref: str, written: str, *keys: str | int) -> str | None:
    if is_ref(ref):
        return ref
    code, said = "dependency.invalid_ref", shown(written)
    without_at = _WITHOUT_AT.fullmatch(written.strip())
    if without_at is not None:
        meant = f"{without_at[1]}@{without_at[2]}"
        section.complain(code, f"Put an '@' between the pack and the range in {said!r}", *keys, suggestion=meant)
    elif "/" in written or ":" in written:
        message = f"{said!r} is an address; name the pack by its ref, and install it on its own"
        section.complain(code, message, *keys)
    else:
        folded = in_yaml(written.replace(ref, ref_from_name(ref), 1)) if ref else None
        section.complain(code, f"{said!r} is not the ref of a pack", *keys, suggestion=folded)
    return None


def _checked_range(section: Section, wanted: str, *keys: str | int) -> str | None:
    spec = as_range(wanted)
    if spec is None:
        message = f"{shown(wanted)!r} is not a version range; {_RANGE_RULE}"
        section.complain("dependency.invalid_range", message, *keys, suggestion=range_meant(wanted))
    return spec


def _interpreter(
    section: Section, key: str, title: str, running: str | None, others: Callable[[], tuple[str, ...]]
) -> str | None:
    code = f"dependency.{key}"
    wanted = section.text(key, code)
    if wanted is None:
        return None
    spec, way_out = as_range(wanted), f"put one that fits on packd's PATH, or change {key}"
    if spec is None:
        message = f"{shown(wanted)!r} is not a version range; {_RANGE_RULE}"
        section.complain(code, message, key, suggestion=range_meant(wanted))
    elif running is None:
        what = f"there is no {title} to run its tests"
        section.complain(code, f"The pack needs {title} {wanted}, and {what}; {way_out}", key)
    elif not in_range(running, spec) and not any(in_range(other, spec) for other in others()):
        also = "".join(f", {other}" for other in others()[:_SHOWN])
        what = f"there are {title} {running}{also}" if also else f"its tests would run on {title} {running}"
        section.complain(code, f"The pack needs {title} {wanted}, and {what}; {way_out}", key)
    return spec or wanted
