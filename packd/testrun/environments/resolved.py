"""What was installed, read from the environment itself: names and versions, by no program of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_SEPARATORS: Final = re.compile(r"[-_.]+")
_MOST: Final = 10_000  # packages
_LOCK_BYTES: Final = 64 * 1024 * 1024
_LONGEST: Final = 300  # characters of one


def python_packages(folder: Path) -> tuple[str, ...]:
    """`name==version` of a virtual environment, names as PEP 503 normalises them."""
    found = set()
    for info in folder.glob("lib/python3*/site-packages/*.dist-info"):
        name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
        found.add(f"{_SEPARATORS.sub('-', name).lower()}=={version}"[:_LONGEST])
    return tuple(sorted(found)[:_MOST])


def node_packages(folder: Path) -> tuple[str, ...]:
    """`name@version` of what npm put into `node_modules`, nested ones too, by npm's own record."""
    for record in (folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"):
        try:
            with record.open("rb") as file:
                packages = json.loads(file.read(_LOCK_BYTES))["packages"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        return tuple(sorted(set(_named(packages)))[:_MOST])
    return ()


def _named(packages: Any) -> list[str]:
    if not isinstance(packages, dict):
        return []
    return [
        f"{path.rpartition('node_modules/')[2]}@{about.get('version')}"[:_LONGEST]
        for path, about in packages.items()
        if path and isinstance(about, dict) and about.get("version")
    ]
