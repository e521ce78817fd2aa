"""The time after an activation in which a pack has to stay healthy, as its own `health` command sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_EVERY_S: Final = 10.0
_TIMEOUT_S: Final = 10.0
_LONGEST_S: Final = 3600.0


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """What `health:` in pack.yaml says: a command line, or `{command, every, timeout}` in seconds."""

    command: str
    every_s: float = _EVERY_S
    timeout_s: float = _TIMEOUT_S


class BadHealthCheck(ValueError):
    """What `health:` says can't be used; the message says why."""

    def __init__(self, message: str, key: str | None = None) -> None:
        """`key`: the one in `health` that it is about; None: `health` itself."""
        super().__init__(message)
        self.key = key


def health_check(fields: Mapping[str, Any]) -> HealthCheck | None:
    """None when pack.yaml has none. Raises BadHealthCheck."""
    said = fields.get("health")
    if said is None:
        return None
    if isinstance(said, str):
        said = {"command": said}
    if not isinstance(said, Mapping) or not isinstance(said.get("command"), str) or not said["command"].strip():
        raise BadHealthCheck("health must be a command line, or {command: …, every: seconds, timeout: seconds}")
    return HealthCheck(
        command=said["command"],
        every_s=_seconds(said, "every", _EVERY_S),
        timeout_s=_seconds(said, "timeout", _TIMEOUT_S),
    )


def _seconds(said: Mapping[str, Any], key: str, otherwise: float) -> float:
    value = said.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_S:
        raise BadHealthCheck(f"health.{key} must be a number of seconds, above 0 and at most {_LONGEST_S:g}", key)
    return float(value)
