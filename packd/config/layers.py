"""The places where settings come from, each as the same nested values, and each able to point at what it said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Final, Protocol, Union, get_args, get_origin

from pydantic import BaseModel

from packd.config.settings import Settings
from packd.domain.failures import Code, Failure
from packd.domain.positioned import Document, read
from packd.domain.problems import Problem

Place = tuple[str | int, ...]  # keys and indexes from the top, e.g. ("webhooks", 0, "url")

PREFIX: Final = "PACKD_"
SOCKET_VARIABLE: Final = "PACKD_SOCKET"  # what the command line calls the socket
FILE_VARIABLE: Final = "PACKD_CONFIG"  # names the file itself
# What packd itself gives to the suites that it runs: a pack's own tests may call `packd check`.
_OF_SUITES: Final = frozenset(
    PREFIX + name for name in ("PACK_REF", "PACK_VERSION", "PACK_DIR", "RUN_ID", "WORK", "EVENTS_FD", "PYTEST_FALLBACK")
)
# What the command line reads by itself: the default of `packd webhook verify --secret-file`.
_OF_COMMANDS: Final = frozenset({PREFIX + "WEBHOOK_SECRET"})
_ALIASES: Final[dict[str, Place]] = {SOCKET_VARIABLE: ("api", "socket")}
_POSITIONAL: Final = frozenset({("packs_dir",)})  # written without dashes on the command line


class BadConfig(Failure):
    """Settings that cannot be used, with everything that is wrong with them."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(Code.BAD_REQUEST, f"The configuration has {count}:\n{listed}", problems=problems)


class Layer(Protocol):
    """One place."""

    @property
    def values(self) -> dict[str, Any]:
        """Nested like the settings, only what was said; nulls are left out, for null means the default."""

    @property
    def folder(self) -> Path:
        """What relative paths start from."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be read at all."""

    def origin(self, place: Place) -> str:
        """Where this value was said, for people."""

    def problem(self, code: str, message: str, place: Place, *, key: bool, suggestion: str | None) -> Problem:
        """A problem that points at the value, or its key."""


@dataclass(frozen=True, kw_only=True)
class FileLayer:
    """A YAML file."""

    document: Document
    folder: Path
    values: dict[str, Any]
    problems: tuple[Problem, ...] = ()

    def origin(self, place: Place) -> str:
        return f"{self.document.file}:{self.document.at(place, key=True)[0]}"

    def problem(self, code: str, message: str, place: Place, *, key: bool, suggestion: str | None) -> Problem:
        return self.document.problem(code, message, place, key=key, suggestion=suggestion)


@dataclass(frozen=True, kw_only=True)
class NamedLayer:
    """Variables or flags: every value has a name of its own."""

    kind: str  # "environment" or "flag"
    folder: Path
    values: dict[str, Any]
    names: dict[Place, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def origin(self, place: Place) -> str:
        return f"{self.kind} {self._name(place)}"

    def problem(self, code: str, message: str, place: Place, *, key: bool, suggestion: str | None) -> Problem:
        return Problem(code=code, message=message, file=self._name(place), suggestion=suggestion)

    def _name(self, place: Place) -> str:
        for length in range(len(place), 0, -1):
            if place[:length] in self.names:
                return self.names[place[:length]]
        return " and ".join(name for said, name in self.names.items() if said[: len(place)] == place)


def from_file(path: Path) -> FileLayer:
    """What a file says. Never raises."""
    folder = path.absolute().parent
    try:
        document = read(path.read_bytes(), file=str(path))
    except OSError as failure:
        message = f"can't be read: {failure.strerror}; give another configuration file"
        problem = Problem(code="config.unreadable", message=message, file=str(path))
        return FileLayer(document=Document(file=str(path)), folder=folder, values={}, problems=(problem,))
    if not document.complete or document.value is None:
        return FileLayer(document=document, folder=folder, values={}, problems=document.problems)
    if not isinstance(document.value, dict):
        problem = document.problem("config.invalid_value", "must be a mapping, as in `packs_dir: ./packs`", ())
        return FileLayer(document=document, folder=folder, values={}, problems=(*document.problems, problem))
    values = without_nulls(document.value)
    return FileLayer(document=document, folder=folder, values=values, problems=document.problems)


def from_environment(environ: Mapping[str, str], folder: Path) -> NamedLayer:
    """What `PACKD_…` variables say; an empty one says nothing. Never raises."""
    known = {variable(place): place for place in leaves()}
    values: dict[str, Any] = {}
    names: dict[Place, str] = {}
    problems: list[Problem] = []
    for name in sorted(environ, key=lambda name: (name not in _ALIASES, name)):  # the long name beats its alias
        place = known.get(name) or _ALIASES.get(name)
        if not name.startswith(PREFIX) or name == FILE_VARIABLE or name in _OF_SUITES | _OF_COMMANDS:
            continue
        if place is None:
            problems.append(_unknown_variable(name, known))
        elif environ[name]:
            value, trouble = _from_text(environ[name], name, is_list=place in _lists())
            problems.extend(trouble)
            _put(values, place, value)
            names[place] = name
    return NamedLayer(kind="environment", folder=folder, values=values, names=names, problems=tuple(problems))


def from_flags(flags: Mapping[str, Any], folder: Path) -> NamedLayer:
    """What the command line says, by dotted key; None was not given. Never raises."""
    values: dict[str, Any] = {}
    names: dict[Place, str] = {}
    for dotted, value in flags.items():
        if value is not None:
            place: Place = tuple(dotted.split("."))
            _put(values, place, value)
            names[place] = flag(place)
    return NamedLayer(kind="flag", folder=folder, values=values, names=names)


def variable(place: Place) -> str:
    """`("tests", "timeout_s")` → `PACKD_TESTS__TIMEOUT_S`."""
    return PREFIX + "__".join(str(step) for step in place).upper()


def flag(place: Place) -> str:
    """`("api", "listen")` → `--listen`."""
    name = str(place[-1])
    return name.upper() if place in _POSITIONAL else f"--{name.replace('_', '-')}"


def leaves(model: type[BaseModel] = Settings, before: Place = ()) -> Iterator[Place]:
    """Every key that holds a value rather than more keys. A list is one value."""
    for name, about in model.model_fields.items():
        if isinstance(about.annotation, type) and issubclass(about.annotation, BaseModel):
            yield from leaves(about.annotation, (*before, name))
        else:
            yield (*before, name)


def model_at(place: Place) -> type[BaseModel] | None:
    """The model whose fields are the keys at `place`; None where there is none."""
    model: Any = Settings
    for step in place:
        if isinstance(step, int):
            model = next(iter(get_args(model)), None)
        elif isinstance(model, type) and issubclass(model, BaseModel) and step in model.model_fields:
            model = model.model_fields[step].annotation
        else:
            return None
        if get_origin(model) in (Union, UnionType):
            model = next(iter(get_args(model)), None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """The same without keys that say nothing: a section with all its lines commented out is null in YAML."""
    return {key: _clean(value) for key, value in values.items() if value is not None}


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return without_nulls(value)
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _lists() -> frozenset[Place]:
    return frozenset(place for place in leaves() if _is_list(place))


def _is_list(place: Place) -> bool:
    model = model_at(place[:-1])
    return model is not None and get_origin(model.model_fields[str(place[-1])].annotation) is tuple


def _from_text(text: str, name: str, *, is_list: bool) -> tuple[Any, tuple[Problem, ...]]:
    """A variable's value: lists as `[a, b]` (YAML, so JSON too) or `a,b`; everything else stays text."""
    if not is_list:
        return text, ()
    if text.lstrip().startswith(("[", "{")):
        document = read(text, file=name)
        value = _clean(document.value) if document.complete else []
        return value, document.problems
    return [part.strip() for part in text.split(",") if part.strip()], ()


def _unknown_variable(name: str, known: Mapping[str, Place]) -> Problem:
    near = get_close_matches(name, [*known, *_ALIASES, FILE_VARIABLE], n=1)
    return Problem(
        code="config.unknown_variable",
        message="there is no setting of this name; unset it or correct it, `packd config show` lists all settings",
        file=name,
        suggestion=near[0] if near else None,
    )


def _put(values: dict[str, Any], place: Place, value: Any) -> None:
    for step in place[:-1]:
        values = values.setdefault(str(step), {})
    values[str(place[-1])] = value
