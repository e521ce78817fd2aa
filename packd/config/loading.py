"""From the layers to settings: each layer is checked on its own, so that every problem points at who said it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr, ValidationError

from packd.config.complaints import complaints
from packd.config.effective import effective
from packd.config.layers import (
    FILE_VARIABLE,
    BadConfig,
    Layer,
    Place,
    from_environment,
    from_file,
    from_flags,
)
from packd.config.settings import Settings
from packd.config.values import Surroundings, home
from packd.domain.masking import STARS
from packd.domain.printing import quoted
from packd.domain.problems import Problem, errors

_SOCKET_PATH_BYTES: Final = 107  # sun_path of unix(7), without its closing zero


def load(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """The settings of `file` (or the one that $PACKD_CONFIG names), variables and flags over the defaults.

    `flags` have dotted keys (`"api.listen"`); None means not given. Raises BadConfig with every problem there is.
    What is only unwise is in `warnings` of the settings.
    """
    path = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    origins: dict[Place, str] = {}
    for layer in _layers(path, environ, flags):
        said, wrong = _checked(layer, environ)
        problems += sorted([*layer.problems, *wrong], key=_as_written)
        _merge(values, said)
        _note_origins(origins, layer, said)
    if not errors(tuple(problems)):
        problems += _fill_in(values, origins, environ)
    if errors(tuple(problems)):
        raise BadConfig(tuple(problems))
    settings = _together(values, origins)
    settings._origins = origins
    settings._warnings = (*problems, *_unwise(settings, path))
    return settings


def _as_written(problem: Problem) -> tuple[int, int, str]:
    return problem.line or 0, problem.column or 0, problem.file or ""


def _layers(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Iterator[Layer]:
    """From the weakest to the strongest."""
    if path is not None:
        yield from_file(path)
    yield from_environment(environ, Path.cwd())
    yield from_flags(flags, Path.cwd())


def _checked(layer: Layer, environ: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """What a layer says, as values of the right types, or what is wrong with it."""
    try:
        model = Settings.model_validate(layer.values, context=Surroundings(folder=layer.folder, environ=environ))
    except ValidationError as failure:
        return {}, list(complaints(failure.errors(include_url=False), layer))
    return _said(model), []


def _said(model: BaseModel) -> dict[str, Any]:
    """Only what was set, nested; lists stay whole."""
    values = {name: getattr(model, name) for name in model.model_fields_set}
    return {name: _said(value) if isinstance(value, BaseModel) else value for name, value in values.items()}


def _merge(values: dict[str, Any], stronger: Mapping[str, Any]) -> None:
    for key, value in stronger.items():
        if isinstance(value, dict) and isinstance(values.get(key), dict):
            _merge(values[key], value)
        else:
            values[key] = value


def _note_origins(origins: dict[Place, str], layer: Layer, said: Mapping[str, Any], before: Place = ()) -> None:
    for key, value in said.items():
        place = (*before, key)
        if isinstance(value, dict):
            _note_origins(origins, layer, value, place)
            continue
        for stale in [known for known in origins if known[: len(place)] == place]:
            del origins[stale]  # a list replaces the whole list of a weaker layer
        sections = [item for item in value if isinstance(item, BaseModel)] if isinstance(value, tuple) else []
        for index, section in enumerate(sections):
            _note_origins(origins, layer, dict.fromkeys(section.model_fields_set), (*place, index))
        if not sections:
            origins[place] = layer.origin(place)


def _fill_in(values: dict[str, Any], origins: dict[Place, str], environ: Mapping[str, str]) -> Iterator[Problem]:
    """Defaults that depend on the machine: what systemd gives a unit, else the XDG base directories."""
    values.setdefault("packs_dir", Path.cwd() / "packs")
    if "state_dir" not in values:
        try:
            values["state_dir"], origin = _state_dir(environ)
        except ValueError as wrong:
            yield Problem(code="config.missing_key", message=f"{wrong}, or give --state-dir", file="state_dir")
            return
        if origin:
            origins["state_dir",] = origin
    if "database_url" not in values and (url := _credential(environ, "database_url")):
        values["database_url"] = SecretStr(url)
        origins["database_url",] = "credential database_url"
    api = values.setdefault("api", {})
    if "socket" not in api and (runtime := _first(environ, "RUNTIME_DIRECTORY")):
        api["socket"] = Path(runtime) / "packd.sock"
        origins["api", "socket"] = "environment RUNTIME_DIRECTORY"
    socket = os.fsencode(api.get("socket") or values["state_dir"] / "packd.sock")
    if len(socket) > _SOCKET_PATH_BYTES:
        yield Problem(
            code="config.invalid_value",
            message=f"the path of the socket has {len(socket)} bytes and a Unix socket takes {_SOCKET_PATH_BYTES}: "
            f"give a shorter one with --socket or api.socket",
            file=origins.get(("api", "socket"), origins.get(("state_dir",))),
        )


def _state_dir(environ: Mapping[str, str]) -> tuple[Path, str | None]:
    if given := _first(environ, "STATE_DIRECTORY"):
        return Path(given), "environment STATE_DIRECTORY"
    if (base := environ.get("XDG_STATE_HOME", "")).startswith("/"):  # the specification: relative ones don't count
        return Path(base) / "packd", "environment XDG_STATE_HOME"
    return home(environ) / ".local/state/packd", None


def _credential(environ: Mapping[str, str], name: str) -> str | None:
    """What the service was given under this name, without the newline at its end."""
    try:
        return (Path(environ["CREDENTIALS_DIRECTORY"]) / name).read_text().strip() or None
    except (KeyError, OSError):
        return None


def _first(environ: Mapping[str, str], name: str) -> str:
    """systemd separates several with colons; the first is the unit's main one (systemd.exec(5))."""
    return environ.get(name, "").partition(":")[0]


def _together(values: dict[str, Any], origins: Mapping[Place, str]) -> Settings:
    """The whole. What the layers say can be right one by one and wrong together."""
    try:
        return Settings.model_validate(values)
    except ValidationError as failure:
        raise BadConfig(
            tuple(_clash(error["loc"], str(error["ctx"]["error"]), origins) for error in failure.errors())
        ) from None


def _clash(section: Place, message: str, origins: Mapping[Place, str]) -> Problem:
    said_by = dict.fromkeys(origin for place, origin in origins.items() if place[: len(section)] == section)
    return Problem(code="config.invalid_value", message=message, file=" and ".join(said_by) or None)


def _unwise(settings: Settings, path: Path | None) -> Iterator[Problem]:
    """Secrets that everybody on the machine can read."""
    files = [
        file for webhook in settings.webhooks for file in (webhook.secret_file, webhook.key_file) if file is not None
    ]
    if path is not None and any(
        STARS in str(setting.value) and setting.origin.startswith(f"{path}:") for setting in effective(settings)
    ):
        files.append(path)
    for file in dict.fromkeys(files):
        if file.stat().st_mode & stat.S_IROTH:
            yield Problem(
                code="config.secret_exposed",
                message=f"holds a secret and can be read by everybody on this machine: `chmod 600 {quoted(str(file))}`",
                file=str(file),
                severity="warning",
            )
