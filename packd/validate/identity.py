"""pack.yaml itself: ref, version and the fields that only describe. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packd.domain.probation import BadHealthCheck, health_check
from packd.domain.ranges import is_version, version_meant
from packd.domain.refs import REF_PATTERN, RESERVED, archive_suffix, is_ref, ref_from_name
from packd.domain.yaml_scalars import in_yaml
from packd.validate.fields import shown

if TYPE_CHECKING:
    from packd.domain.positioned import Document
    from packd.validate.fields import Section

_TEXTS: Final = ("label", "name", "description", "author", "email", "license", "homepage", "repository", "use_case")
_FLAGS: Final = ("system", "enabled")
_MAPPINGS: Final = ("conf_schema", "config_schema", "config", "meta", "metadata")
_LISTS: Final = ("tags", "keywords", "runtime_deps")
_READ: Final = ("ref", "version", "dependencies", "testing", "health", *_TEXTS, *_FLAGS, *_MAPPINGS, *_LISTS)
# Keys of the platforms whose packs are read here; they are kept, and are no slip of the pen.
_OF_PLATFORMS: Final = (
    "contributors", "path", "python_versions", "runner_type", "stackstorm_version",
    "worker_affinity", "worker_selector", "worker_tolerations",
)  # fmt: skip
_KNOWN: Final = frozenset((*_READ, *_OF_PLATFORMS))
_SPELLINGS: Final = (("label", "name"), ("conf_schema", "config_schema"), ("meta", "metadata"), ("tags", "keywords"))
_REF_RULE: Final = "a lower-case letter, then lower-case letters, digits, '_' or '-', 63 characters at most"


def declared_ref(section: Section, drop: str) -> str | None:
    """The pack's ref: `ref`, or `name` in a StackStorm pack without one. `drop` is the child's name, for advice."""
    key = "ref" if "ref" in section or "name" not in section else "name"
    if key not in section:
        example = in_yaml(ref_from_name(drop))
        message = f"There is no ref, so the pack has no name; add a line such as 'ref: {example}'"
        section.missing("manifest.invalid_ref", message, "ref", f"ref: {example}")
        return None
    ref = section.name(key, "manifest.invalid_ref", is_ref)
    if ref is None or is_ref(ref):
        return ref
    meant = in_yaml(ref_from_name(ref))
    message = f"{key} {shown(ref)!r} can't name a pack; a ref is {_REF_RULE}"
    if ref in RESERVED:
        message = f"{key} {ref!r} can't name a pack, as /packs/{ref} of the API means something else; choose another"
    if key == "name":
        message = f"There is no ref, and name {shown(ref)!r} can't be one; add a line 'ref: {meant}'"
    section.complain("manifest.invalid_ref", message, key, suggestion=meant if ref.strip() else None)
    return None


def declared_version(section: Section) -> str | None:
    code = "manifest.invalid_version"
    value = section.value.get("version")
    if value is None:
        message = "There is no version; add a line such as 'version: 0.1.0'"
        section.missing(code, message, "version", "version: 0.1.0")
        return None
    if isinstance(value, str) and is_version(value):
        return value
    written = section.written("version")
    meant = version_meant(written)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        message = f"YAML reads the version {shown(written)} as a number; quote it, and give all three parts of SemVer"
        section.complain(code, message, "version", suggestion=f'"{meant or written}"')
    elif isinstance(value, str):
        message = f"The version {shown(value)!r} is not SemVer, which has three numbers such as 1.4.0 or 1.4.0-rc.1"
        section.complain(code, message, "version", suggestion=meant)
    else:
        section.complain(code, "version must be text such as 1.4.0", "version")
    return None


def check_descriptions(section: Section) -> None:
    """The types of the fields that only describe, their older spellings, and keys that look like slips of the pen."""
    for key in _TEXTS:
        if key != "name" or "ref" in section:  # declared_ref has looked at the name that stands for the ref
            section.text(key)
    for key in _FLAGS:
        section.flag(key, default=True)
    for key in _MAPPINGS:
        found = section.section(key)
        if found is not None and key in ("meta", "metadata"):
            for index, line in enumerate(found.texts("python_dependencies") or ()):
                _check_requirement(found, index, line)
    for key in _LISTS:
        section.texts(key)
    for newer, older in _SPELLINGS:
        _check_spellings(section, newer, older)
    section.unknown(_KNOWN, "manifest.unknown_key", "pack.yaml that packd knows", only_near=True)


def _check_spellings(section: Section, newer: str, older: str) -> None:
    if newer not in section or older not in section or section.value[newer] == section.value[older]:
        return
    if older == "name" and "ref" not in section:  # then it is the ref, not a label
        return
    message = f"{older} is the older spelling of {newer}, and the two say different things; keep one of them"
    section.complain("manifest.legacy_conflict", message, older, key=True)


def check_drop_name(section: Section, ref: str, drop: str) -> None:
    """Say so when the pack registers under another name than it was dropped with."""
    suffix = archive_suffix(drop)
    stem = drop[: len(drop) - len(suffix)] if suffix else drop
    if stem == ref or (suffix and re.match(rf"{re.escape(ref)}[-_.]v?\d", stem)):
        return
    message = f"The pack lies in {shown(drop)!r} and registers as {ref!r}, as it says here"
    key = "ref" if "ref" in section else "name"
    section.warn("manifest.ref_differs", message, key)


def check_health(section: Section) -> None:
    """The command that is run while the pack is on probation; one that can't be used keeps no pack from being used."""
    try:
        health_check(section.value)
    except BadHealthCheck as wrong:
        where = () if wrong.key is None else (wrong.key,)
        section.warn(
            "manifest.invalid_health", f"{wrong}; as it is, nobody asks after this pack's health", "health", *where
        )
    if isinstance(section.value.get("health"), dict):
        known = ("command", "every", "timeout")
        section.below(section.value["health"], "health").unknown(known, "manifest.unknown_key", "health")


def label(section: Section) -> str:
    value = section.value.get("label") or section.value.get("name")
    return value if isinstance(value, str) else ""


def salvaged(document: Document, text: str) -> tuple[str | None, str | None]:
    """(ref, version) of a pack.yaml that is not valid YAML, as far as they can be made out."""
    value = document.value if isinstance(document.value, dict) else {}
    version = value.get("version")
    ref = value.get("ref") or _line_value("ref", text) or value.get("name") or _line_value("name", text)
    return (
        ref if isinstance(ref, str) and is_ref(ref) else None,
        version if isinstance(version, str) and is_version(version) else None,
    )


def _line_value(key: str, text: str) -> str | None:
    found = re.search(rf"^{key}:[ \t]*(['\"]?)({REF_PATTERN})\1[ \t]*(?:#.*)?\r?$", text, re.MULTILINE)
    return found[2] if found else None


def python_dependencies(section: Section) -> tuple[str, ...]:
    """The packages of `meta.python_dependencies`, one requirement each; problems were told by `check_descriptions`."""
    for key in ("meta", "metadata"):
        about = section.value.get(key)
        found = about.get("python_dependencies") if isinstance(about, dict) else None
        if isinstance(found, list):
            return tuple(line.strip() for line in found if isinstance(line, str) and line.strip())
    return ()


def _check_requirement(meta: Section, index: int, line: str) -> None:
    if line.strip().startswith("-") or not line.isprintable():
        message = f"{shown(line)!r} is not a package with its versions, such as 'requests>=2.31'"
        meta.complain("manifest.invalid_field", message, "python_dependencies", index)
