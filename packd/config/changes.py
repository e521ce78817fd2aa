"""What is different between two configurations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from packd.config.settings import Settings


def changed_keys(before: Settings, after: Settings) -> tuple[str, ...]:
    """Dotted keys with other values, in the order of the schema; `webhooks` is one key."""
    return tuple(_changed(before, after, ""))


def _changed(before: BaseModel, after: BaseModel, path: str) -> Iterator[str]:
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, BaseModel):
            yield from _changed(old, new, f"{path}{name}.")
        elif old != new or _secrets(old) != _secrets(new):
            yield f"{path}{name}"


def _secrets(value: Any) -> list[str]:
    """What a file outside of the configuration says."""
    webhooks = value if isinstance(value, tuple) else ()
    return [webhook.signing_secret() for webhook in webhooks if hasattr(webhook, "signing_secret")]
