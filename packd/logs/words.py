"""An entry in words, as the console and the journal's MESSAGE show it: what matters, in units that people read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from packd.logs.output import Entry

# For machines that follow or join lines; the rest of the line says the same to people.
_LEFT_OUT: Final = frozenset(
    {"timestamp", "level", "event", "pack", "revision", "site", "exception", "logger", "message"}
    | {"seq", "correlation_id", "causation_id", "run_id", "event_id"}
)
_ONLY_IF_TRUE: Final = frozenset({"tests_skipped", "forced"})
_LONGEST: Final = 240  # characters of one value
_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
_PLAIN: Final = re.compile(r"[^\s=\"'\\]+")


def about(entry: Entry) -> str:
    """Whom it is about: `slack#7`, `slack`, or nothing."""
    pack, revision = entry.get("pack"), entry.get("revision")
    if pack is None:
        return ""
    return printable(f"{pack}#{revision}" if revision is not None else f"{pack}")


def details(entry: Entry) -> Iterator[tuple[str, str]]:
    """(name, value) of everything worth reading."""
    for key, value in entry.items():
        if key in _ONLY_IF_TRUE and value is False:
            continue
        if key not in _LEFT_OUT and value not in (None, [], {}, ""):
            name = key.removesuffix("_ms").removesuffix("_s")
            yield printable(name.replace("_", " ")), _shown(key, value)


def sentence(entry: Entry) -> str:
    """The whole entry in one line, e.g. `Pack slack#7 registered: version 1.3.0, duration 5.8 ms`."""
    noun, _, verb = str(entry.get("event", "")).partition(".")
    if "message" in entry:
        return printable(f"{entry.get('logger', noun)}: {entry['message']}")
    whom = about(entry)
    what = f"{noun} {verb.replace('_', ' ')}".strip()
    if whom and noun == "pack":
        what = f"pack {whom} {verb.replace('_', ' ')}"
    elif whom:
        what = f"{what} ({whom})"
    rest = ", ".join(f"{name} {value}" for name, value in details(entry))
    what = printable(what[:1].upper() + what[1:])
    return f"{what}: {rest}" if rest else what


def printable(text: str) -> str:
    """Nothing that moves the cursor, colours the screen or turns the writing direction; always one line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _shown(key: str, value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(key, value)
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, list):
        return _list(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = _clipped(_DIGEST.sub(r"\1…", str(value)))
    return text if _PLAIN.fullmatch(text) and text.isprintable() else '"' + printable(text).replace('"', "'") + '"'


def _number(key: str, value: float) -> str:
    if key.endswith("_ms"):
        return f"{value:.1f} ms" if value < 1000 else f"{value / 1000:.1f} s"
    if key.endswith("_s"):
        return f"{value:g} s"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mapping(value: dict[str, Any]) -> str:
    if "message" in value:  # a problem
        where = ":".join(str(value[key]) for key in ("file", "line", "column") if value.get(key) is not None)
        return printable(_clipped(f"{where}: {value['message']}" if where else str(value["message"])))
    if "revision" in value:  # a revision
        return f"#{value['revision']}" if value["revision"] is not None else "none"
    if value.keys() == {"ref", "version"}:  # a pack that is needed
        return printable(value["ref"] if value["version"] in (None, "*") else f"{value['ref']} {value['version']}")
    if value.keys() >= {"total", "passed"}:  # counts of cases
        counts = (f"{value[key]} {key}" for key in ("passed", "failed", "skipped") if value.get(key) or key == "passed")
        return ", ".join(counts)
    return ", ".join(f"{name} {text}" for name, text in details(value))


def _list(value: list[Any]) -> str:
    first = "; ".join(_mapping(item) if isinstance(item, dict) else printable(str(item)) for item in value[:3])
    more = f" and {len(value) - 3} more" if len(value) > 3 else ""
    return _clipped(first) + more


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
