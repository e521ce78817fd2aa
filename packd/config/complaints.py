"""What pydantic found wrong, in words for people, at the place where it was said. Secrets are never repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from packd.config.layers import Layer, Place, leaves, model_at
from packd.domain.clipping import clip

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from packd.domain.problems import Problem

_SECRET_KEYS: Final = frozenset(
    {
        "secret",
        "secret_credential",
        "headers",
        "database_url",
        "url",
        "index_url",
        "extra_index_urls",
        "npm_registry",
        "proxy",
    }
)
_WITH_SECRETS: Final = frozenset({"webhooks", "indexes", "sources", "tests"})  # keys of mappings in which those stand
_SHOWN: Final = 60  # bytes of a wrong value that are repeated

_KINDS: Final[dict[str, str]] = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text (in quotes when it looks like something else)",
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "list_type": "a list",
}


def complaints(errors: list[ErrorDetails], layer: Layer) -> Iterator[Problem]:
    """One problem for every error of pydantic."""
    for error in errors:
        place: Place = tuple(step for step in error["loc"] if step != "[key]")
        match error["type"]:
            case "extra_forbidden":
                yield _unknown_key(place, layer)
            case "missing":
                message = f"{dotted(place)} is missing"
                yield layer.problem("config.missing_key", message, place[:-1], key=False, suggestion=None)
            case "at_place":
                yield layer.problem(
                    "config.invalid_value",
                    f"{dotted((*place, *error['ctx']['place']))} {error['ctx']['message']}",
                    (*place, *error["ctx"]["place"]),
                    key=False,
                    suggestion=None,
                )
            case _:
                yield _wrong_value(error, place, layer)


def dotted(place: Place) -> str:
    """`("webhooks", 0, "url")` → `webhooks.0.url`."""
    return ".".join(str(step) for step in place)


def _unknown_key(place: Place, layer: Layer) -> Problem:
    model = model_at(place[:-1])
    name = str(place[-1])
    near = get_close_matches(name, [] if model is None else list(model.model_fields), n=1)
    elsewhere = [dotted(leaf) for leaf in leaves() if leaf[-1] == name and len(leaf) > 1]
    inside = f" under {dotted(place[:-1])}" if place[:-1] else ""
    return layer.problem(
        "config.unknown_key",
        f"there is no setting {name!r}{inside}",
        place,
        key=True,
        suggestion=next(iter([*elsewhere, *near]), None),
    )


def _wrong_value(error: ErrorDetails, place: Place, layer: Layer) -> Problem:
    message, suggestion = _sentence(error, place)
    subject = f"{dotted(place)} " if place else ""
    return layer.problem("config.invalid_value", subject + message, place, key=False, suggestion=suggestion)


def _sentence(error: ErrorDetails, place: Place) -> tuple[str, str | None]:
    """What is wrong, as the rest of a sentence that begins with the key; and what was probably meant."""
    kind, given, limits = error["type"], error["input"], error.get("ctx", {})
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}{_not(given, place)}", None
    if kind == "literal_error":
        return _not_one_of(str(limits["expected"]), given, place)
    if kind == "value_error":
        return str(limits["error"]), None
    if kind == "string_pattern_mismatch":
        return f"must be lower-case letters, digits, - and _, beginning with a letter{_not(given, place)}", None
    return _out_of_range(kind, limits) or error["msg"], None


def _out_of_range(kind: str, limits: Mapping[str, Any]) -> str | None:
    words = {
        "greater_than_equal": ("ge", "at least"),
        "less_than_equal": ("le", "at most"),
        "greater_than": ("gt", "more than"),
    }
    if kind in ("string_too_short", "too_short"):
        return "must not be empty"
    if kind == "too_long":
        return f"must have at most {limits['max_length']} items"
    if kind not in words:
        return None
    limit, phrase = words[kind]
    return f"must be {phrase} {limits[limit]:.12g}"


def _not_one_of(expected: str, given: Any, place: Place) -> tuple[str, str | None]:
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    near = get_close_matches(given.lower(), choices, n=1) if isinstance(given, str) else []
    return f"must be {' or '.join((', '.join(choices[:-1]), choices[-1]))}{_not(given, place)}", next(iter(near), None)


def _not(given: Any, place: Place) -> str:
    """`, not 'abc'`, unless the value could be a secret or would fill the screen."""
    if _may_be_secret(place) or isinstance(given, dict | list | tuple):
        return ""
    shown = str(given).lower() if isinstance(given, bool) else repr(given)
    return f", not {clip(shown, _SHOWN)}"


def _may_be_secret(place: Place) -> bool:
    """Also what stands where a mapping with a secret in it should: somebody may have written the secret alone."""
    keys = [step for step in place if isinstance(step, str)]
    return any(key in _SECRET_KEYS for key in keys) or bool(keys and keys[-1] in _WITH_SECRETS)
