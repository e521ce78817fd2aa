"""`packd service`: install packd as a service of this machine or of one user, and take it away again."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from packd.cli.options import A_PATH
from packd.cli.screen import note, say
from packd.domain.failures import Code, Failure
from packd.domain.printing import clean

if TYPE_CHECKING:
    from packd.service.plan import Placed


@click.group("service")
def command() -> None:
    """Run packd under systemd.

    As root for the whole machine, or with --user for yourself.
    """


@command.command("install")
@click.option("--user", "for_user", is_flag=True, help="A service of your own, without root.")
@click.option("--packs", type=A_PATH, metavar="DIR", help="The packs directory (default: /var/lib/packd/packs).")
@click.option("--no-network", is_flag=True, help="Leave its network closed: no webhooks, no packages from an index.")
@click.option("--no-start", is_flag=True, help="Only write the files.")
@click.option("--dry-run", is_flag=True, help="Only say what would be written, and show it.")
@click.option("--root", type=A_PATH, metavar="DIR", help="Write below DIR and start nothing, as package builders do.")
def install(
    for_user: bool, packs: Path | None, no_network: bool, no_start: bool, dry_run: bool, root: Path | None
) -> None:
    """Write the unit files, explain them, and start packd.

    \b
    Examples:
      packd service install --packs /srv/packs
      packd service install --user --packs ~/packs
      packd service install --dry-run         look first

    Exit status: 0 written and started, 1 systemd refused, 2 it can't be written, or there is no systemd.
    """
    files = _files(for_user=for_user, packs=packs, network=not no_network)
    if dry_run:
        for file in files:
            say(f"# {file.path}: {file.why}\n{file.text}")
        return
    starts = root is None and not no_start
    if starts:
        _look_for_systemd()
    for file in files:
        _write(file, _below(root, file.path))
    if starts:
        _start(for_user=for_user, packs=packs.absolute() if packs else None)
    _explain(for_user=for_user, started=starts)


@command.command("uninstall")
@click.option("--user", "for_user", is_flag=True, help="The service of your own.")
@click.option("--root", type=A_PATH, metavar="DIR", help="Remove below DIR and stop nothing.")
def uninstall(for_user: bool, root: Path | None) -> None:
    """Stop packd and remove what `install` wrote; configuration, secrets, state and packs stay.

    \b
    Examples:
      packd service uninstall

    Exit status: 0 removed, 1 systemd refused, 2 it can't be removed.
    """
    from packd.service import manager

    files = _files(for_user=for_user, packs=Path("/unused"), network=True)
    scope = ["--user"] if for_user else []
    if root is None:
        units = ["packd.service"] if for_user else ["packd.service", "packd.socket"]
        manager.call(["systemctl", *scope, "disable", "--now", *units], needed=False)
    for file in files:
        path = _below(root, file.path)
        if file.kept:
            note(f"kept     {clean(str(path))}")
        elif path.exists():
            _remove(path)
    if root is None:
        manager.call(["systemctl", *scope, "daemon-reload"], needed=False)
    state = "~/.local/state/packd" if for_user else "/var/lib/packd and the user packd"
    note(f"kept     {state}: remove them yourself when nobody needs them any more")


def _files(*, for_user: bool, packs: Path | None, network: bool) -> tuple[Placed, ...]:
    from packd.service import plan
    from packd.service.shipped import shipped

    executable = _executable()
    if for_user:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return plan.user(executable=executable, config_home=home, packs_dir=(packs or Path.home() / "packs").absolute())
    refusal = plan.unreachable(executable)
    if refusal is not None:
        raise Failure(Code.BAD_REQUEST, refusal)
    return plan.system(
        shipped=shipped, executable=executable, packs_dir=packs.absolute() if packs else None, network=network
    )


def _executable() -> Path:
    """The `packd` of the installation that runs now, not what a link in somebody's home leads to it by."""
    beside = Path(sys.executable).parent / "packd"
    return beside if beside.exists() else Path(sys.argv[0]).absolute()


def _look_for_systemd() -> None:
    """Before anything is written. Raises Failure BAD_REQUEST where it could not be started."""
    from packd.service import manager

    if not manager.runs_this_machine():
        said = "this machine is not run by systemd, so nothing was written: `packd run` starts packd without it, --no-start only writes the files"
        raise Failure(Code.BAD_REQUEST, said)


def _below(root: Path | None, path: Path) -> Path:
    return path if root is None else root / path.relative_to("/")


def _write(file: Placed, path: Path) -> None:
    if file.kept and path.exists():
        note(f"kept     {clean(str(path))}: {file.why}")
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(file.text, encoding="utf-8")
        fresh.chmod(file.mode)
        fresh.replace(path)
    except OSError as failure:
        way = "; as root, or with --user for yourself" if isinstance(failure, PermissionError) else ""
        raise Failure(Code.BAD_REQUEST, f"can't write {path}: {failure.strerror}{way}") from failure
    note(f"wrote    {clean(str(path))}: {file.why}")


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as failure:
        raise Failure(Code.BAD_REQUEST, f"can't remove {path}: {failure.strerror}; as root, or --user") from failure
    note(f"removed  {clean(str(path))}")
    if path.parent.name == "packd.service.d" and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _make_packs(packs: Path | None) -> None:
    """One that is there already is left as it is: who may write to it is for its owner to say."""
    if packs is None or packs.exists():
        return
    packs.mkdir(parents=True)
    shutil.chown(packs, "packd", "packd")
    note(f"made     {clean(str(packs))}: drop packs there; it belongs to the user packd")


def _start(*, for_user: bool, packs: Path | None) -> None:
    from packd.service import manager

    try:
        if for_user:
            manager.call(["systemctl", "--user", "daemon-reload"])
            manager.call(["systemctl", "--user", "enable", "packd.service"])
            manager.call(["systemctl", "--user", "restart", "packd.service"])
            return
        manager.call(["systemd-sysusers", "packd.conf"])
        _make_packs(packs)
        manager.call(["systemd-tmpfiles", "--create", "packd.conf"])
        manager.call(["journalctl", "--update-catalog"], needed=False)
        manager.call(["systemctl", "daemon-reload"])
        manager.call(["systemctl", "enable", "packd.socket", "packd.service"])
        manager.call(["systemctl", "stop", "packd.service"])
        manager.call(["systemctl", "restart", "packd.socket"])
        manager.call(["systemctl", "restart", "packd.service"])
    except manager.Refused as refusal:
        raise Failure(Code.CONFLICT, f"{refusal}; the files are written: put it right, and say it again") from refusal


def _explain(*, for_user: bool, started: bool) -> None:
    user, me = (" --user", "") if for_user else ("", "sudo ")
    if not started:
        say(f"Start it with: {me}systemctl{user} daemon-reload && {me}systemctl{user} enable --now packd")
        return
    say(f"packd runs. How it is: systemctl{user} status packd    What it says: journalctl{user} -u packd -f")
    if for_user:
        say("It ends when you log out, unless you say: loginctl enable-linger")
    else:
        say("Ask it as root or as a member of the group packd: PACKD_SOCKET=/run/packd/packd.sock packd status")
        say("A webhook's secret: put it into /etc/packd/secrets/NAME (0600) and restart packd.")
