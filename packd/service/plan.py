"""What `packd service install` writes, and why. Pure: the same answers for `--dry-run`, the real thing and the tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

_EXECUTABLE: Final = "/opt/packd/bin/packd"  # as the shipped unit has it
_HIDDEN: Final = ("/home", "/root", "/run/user")  # by ProtectHome=
_CONFIG: Final = "/etc/packd/packd.yaml"

Shipped = Callable[[str], str]  # name of a shipped file → its text


@dataclass(frozen=True, kw_only=True)
class Placed:
    """One file."""

    path: Path
    text: str
    why: str  # for people, one line
    kept: bool = False  # what is there already stays, and it stays when the service is uninstalled
    mode: int = 0o644


def system(*, shipped: Shipped, executable: Path, packs_dir: Path | None, network: bool) -> tuple[Placed, ...]:
    """The service of the machine, started by systemd at boot."""
    units, folder = Path("/etc/systemd/system"), Path("/etc/systemd/system/packd.service.d")
    files = [
        Placed(
            path=units / "packd.service",
            text=shipped("systemd/packd.service").replace(_EXECUTABLE, str(executable)),
            why="the service: how packd is started, watched over and kept apart from the rest of the machine",
        ),
        Placed(
            path=units / "packd.socket",
            text=shipped("systemd/packd.socket"),
            why="the API's socket, which stays open while packd restarts",
        ),
        Placed(
            path=Path("/etc/sysusers.d/packd.conf"),
            text=shipped("systemd/sysusers.d/packd.conf"),
            why="the user that it runs as",
        ),
        Placed(
            path=Path("/etc/tmpfiles.d/packd.conf"),
            text=shipped("systemd/tmpfiles.d/packd.conf"),
            why="the folders that it finds at its first start",
        ),
        Placed(
            path=Path("/usr/local/lib/systemd/catalog/packd.catalog"),
            text=shipped("systemd/catalog/packd.catalog"),
            why="what `journalctl -x -u packd` says about each event",
        ),
        Placed(
            path=Path(_CONFIG),
            text=_configuration(packs_dir or Path("/var/lib/packd/packs")),
            why="the configuration; `packd config schema` and config/README.md say what else can stand in it",
            kept=True,
        ),
    ]
    if network:
        text = shipped("systemd/drop-ins/network.conf")
        files.append(
            Placed(path=folder / "network.conf", text=text, why="opens the network, for webhooks and packages")
        )
    if packs_dir is not None:
        why = "the packs directory: waited for, visible and writable for the markers"
        files.append(Placed(path=folder / "packs.conf", text=packs_drop_in(packs_dir), why=why))
    return tuple(files)


def packs_drop_in(packs_dir: Path) -> str:
    """What a service needs for a packs directory outside of its state directory."""
    lines = [
        "# Written by `packd service install --packs`.",
        "[Unit]",
        f"RequiresMountsFor={_escaped(packs_dir)}",
        "",
        "[Service]",
        f"Environment={_quoted(f'PACKD_PACKS_DIR={packs_dir}')}",
        f"ReadWritePaths=-{_escaped(packs_dir)}",
    ]
    if any(PurePosixPath(packs_dir).is_relative_to(hidden) for hidden in _HIDDEN):
        lines += ["# Of the homes it sees this folder and nothing else.", "ProtectHome=tmpfs"]
        lines += [f"BindPaths={_escaped(packs_dir)}"]
    return "\n".join(lines) + "\n"


def user(*, executable: Path, config_home: Path, packs_dir: Path) -> tuple[Placed, ...]:
    """The service of one user, without root; it runs while that user is logged in, or always with lingering."""
    text = f"""\
# packd as a service of one user. Written by `packd service install --user`.

[Unit]
Description=packd: tests the packs in a folder and makes the good ones active
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart={_escaped(executable)} run --config {_escaped(config_home / "packd" / "packd.yaml")}
ExecReload={_escaped(executable)} config check {_escaped(config_home / "packd" / "packd.yaml")}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=2
TimeoutStopSec=20
KillMode=mixed
WatchdogSec=60
TimeoutAbortSec=10
Delegate=cpu memory pids
OOMPolicy=continue
UMask=0077
# What a user's own service manager can enforce without root and without breaking bubblewrap.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""
    return (
        Placed(path=config_home / "systemd" / "user" / "packd.service", text=text, why="the service of this user"),
        Placed(
            path=config_home / "packd" / "packd.yaml",
            text=_configuration(packs_dir),
            why="the configuration",
            kept=True,
            mode=0o600,
        ),
    )


def unreachable(executable: Path) -> str | None:
    """Why the service's own user could not start this program; None when it can."""
    hidden = next((home for home in _HIDDEN if executable.is_relative_to(home)), None)
    if hidden is None:
        return None
    return (
        f"the service can't start {executable}: it sees nothing below {hidden}. Install packd where every user can "
        "read it, e.g. `python3 -m venv /opt/packd && /opt/packd/bin/pip install packd`, and call "
        "`/opt/packd/bin/packd service install`"
    )


def _configuration(packs_dir: Path) -> str:
    quoted = '"' + str(packs_dir).replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"# The configuration of packd: https://yaml.org, keys by `packd config schema`.\npacks_dir: {quoted}\n"


def _escaped(path: Path) -> str:
    """As a word of a unit file (systemd.syntax(7)): specifiers doubled, spaces and quotes escaped."""
    text = str(path).replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
    return f'"{text}"' if any(char in text for char in " '\t") or '\\"' in text else text


def _quoted(assignment: str) -> str:
    text = assignment.replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
    return f'"{text}"'
