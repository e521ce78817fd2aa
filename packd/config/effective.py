"""What is in force and where it was said, for `packd config show`; and the schema for editors."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import BaseModel, SecretStr

from packd.config.complaints import dotted
from packd.config.settings import Settings
from packd.domain.masking import STARS, masked_url

if TYPE_CHECKING:
    from packd.config.layers import Place

# Secrets that are addresses: all but the secret in them is shown.
_ADDRESSES: Final = ("database_url", "index_url", "extra_index_urls", "npm_registry", "proxy", "url")


class Setting(NamedTuple):
    """One value in force."""

    key: str  # dotted, e.g. "tests.limits.memory_mb" or "webhooks.0.url"
    value: Any  # JSON-able; secrets are starred out, and so are the passwords and queries of URLs
    origin: str  # "default", "<file>:<line>", "environment <NAME>" or "flag <--name>"


def effective(settings: Settings) -> list[Setting]:
    """Every value in force, in the order of the schema. Raises nothing and shows no secret."""
    return list(_settings(settings, (), settings._origins))


def in_force(started: Settings, loaded: Settings, waiting: Collection[str]) -> list[Setting]:
    """The same of a daemon that began with `started` and has read `loaded` since: the keys in `waiting` need a restart."""
    before = {setting.key: setting for setting in effective(started)}
    return [before[setting.key] if setting.key in waiting else setting for setting in effective(loaded)]


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the file."""
    whole = Settings.model_json_schema()
    for part in (whole, *whole["$defs"].values()):
        required = part.get("required", ())
        part["properties"] = {
            name: about if name in required else _or_null(about) for name, about in part["properties"].items()
        }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:packd:config"} | whole


def _or_null(about: dict[str, Any]) -> dict[str, Any]:
    """In a file null means the default, also for a section with nothing in it."""
    if {"type": "null"} in about.get("anyOf", ()):
        return about
    kept = {name: about[name] for name in ("title", "description", "default") if name in about}
    return kept | {"anyOf": [{name: about[name] for name in about if name not in kept}, {"type": "null"}]}


def _settings(model: BaseModel, before: Place, origins: Mapping[Place, str]) -> Iterator[Setting]:
    for name in type(model).model_fields:
        value, place = getattr(model, name), (*before, name)
        if isinstance(value, BaseModel):
            yield from _settings(value, place, origins)
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for index, item in enumerate(value):
                yield from _settings(item, (*place, index), origins)
        else:
            yield Setting(dotted(place), _shown(name, value), origins.get(place, "default"))


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return masked_url(value.get_secret_value()) if name in _ADDRESSES else STARS
    if isinstance(value, str):
        return masked_url(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, dict):
        return {key: _shown(name, item) for key, item in value.items()}
    return [_shown(name, item) for item in value] if isinstance(value, tuple) else value
