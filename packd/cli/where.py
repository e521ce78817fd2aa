"""Where the daemon's socket is, for those who ask it. The daemon itself goes by its settings, which say the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


def socket_path(socket: Path | None, state_dir: Path | None, environ: Mapping[str, str]) -> Path:
    """`--socket`, else $PACKD_SOCKET, else beside the runtime files of the service, else in the state directory."""
    if socket is not None:
        return socket
    if environ.get("PACKD_SOCKET"):
        return Path(environ["PACKD_SOCKET"])
    if runtime := _first(environ, "RUNTIME_DIRECTORY"):
        return Path(runtime) / "packd.sock"
    return (state_dir or _state_dir(environ)) / "packd.sock"


def _state_dir(environ: Mapping[str, str]) -> Path:
    if said := environ.get("PACKD_STATE_DIR"):
        return Path(said).expanduser()
    if given := _first(environ, "STATE_DIRECTORY"):
        return Path(given)
    if (base := environ.get("XDG_STATE_HOME", "")).startswith("/"):  # the specification: relative ones don't count
        return Path(base) / "packd"
    try:
        home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    except RuntimeError:
        raise click.UsageError("the home folder is not known: set HOME, or give --socket or --state-dir") from None
    return home / ".local/state/packd"


def _first(environ: Mapping[str, str], name: str) -> str:
    """systemd separates several with colons; the first is the unit's main one (systemd.exec(5))."""
    return environ.get(name, "").partition(":")[0]
