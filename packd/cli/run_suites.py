"""`packd test`: run a pack's own tests now, here or by the daemon."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from packd.cli.completing import complete_refs
from packd.cli.ending import orderly_end
from packd.cli.live import Progress, progress
from packd.cli.options import A_PATH, SOCKET_HELP, STATE_DIR_HELP, client_for, pack_name
from packd.cli.options import as_json as as_json_option
from packd.cli.screen import note, say_json
from packd.domain.failures import Code, Failure
from packd.domain.printing import typed
from packd.domain.refs import archive_suffix

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command("test")
@click.argument("target", metavar="PATH|REF", shell_complete=complete_refs)
@click.option("--runner", metavar="NAME", help="Only this suite.")
@click.option("--rebuild", is_flag=True, help="Install the packages that it asks for anew.")
@click.option("--verbose", "-v", is_flag=True, help="Every case, not only those that failed.")
@click.option("--junit", type=A_PATH, metavar="FILE", help="Write the report as JUnit XML too.")
@click.option("--config", type=A_PATH, metavar="FILE", help="For a PATH: the daemon's configuration.")
@click.option("--socket", type=A_PATH, metavar="PATH", help=SOCKET_HELP)
@click.option("--state-dir", type=A_PATH, metavar="DIR", help=STATE_DIR_HELP)
@as_json_option
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    runner: str | None,
    rebuild: bool,
    verbose: bool,
    junit: Path | None,
    config: Path | None,
    socket: Path | None,
    state_dir: Path | None,
    as_json: bool,
) -> None:
    """Run a pack's own tests now. Nothing becomes active or is rolled back by it.

    A PATH (with a slash in it, or an archive) is tested here and needs no daemon. A REF is tested by the daemon: the
    revision that is in use, else the newest.

    \b
    Examples:
      packd test ./hello
      packd test hello.tar.gz --verbose
      packd test hello --runner shell

    Exit status: 0 the tests are good enough, 1 they are not, 2 there is nothing to test, 3 no daemon answers.
    """
    if _is_path(target):
        outcome = _here(Path(target), config, runner, rebuild=rebuild, verbose=verbose, as_json=as_json)
    else:
        ref = pack_name(target, lambda: client_for(socket, state_dir))
        outcome = _by_daemon(ref, socket, state_dir, runner, rebuild=rebuild, verbose=verbose, as_json=as_json)
    if junit is not None and outcome.get("report"):
        _write_junit(outcome["report"], junit)
    ctx.exit(0 if outcome["accepted"] else 1)


def _is_path(target: str) -> bool:
    """A bare name is always a ref, whatever lies here: what a command means must not depend on where it is said."""
    return os.sep in target or target in (".", "..") or archive_suffix(target) is not None


def _here(
    path: Path, config: Path | None, runner: str | None, *, rebuild: bool, verbose: bool, as_json: bool
) -> dict[str, Any]:
    from packd.cli.check import print_problems, view
    from packd.cli.terms import terms
    from packd.flow.offline import run_path

    conditions = terms(config)
    with orderly_end(), progress(f"testing {path}") as line:
        tell = _telling(line, aloud=verbose and not as_json)
        tried = run_path(path, terms=conditions, runner=runner, rebuild=rebuild, say=tell)
    report = tried.report.to_dict() if tried.report else None
    outcome = {
        **view(tried.checked),
        "accepted": tried.accepted,
        "verdict": tried.judged.sentence if tried.judged else "validation found errors; nothing was run",
        "report": report,
    }
    if as_json:
        say_json(outcome)
        return outcome
    print_problems(tried.checked)
    if report is None:
        click.secho("nothing was run: packd would refuse it", fg="red")
    _print(outcome, verbose=verbose and line.told < _cases(outcome["report"]))
    return outcome


def _telling(line: Progress, *, aloud: bool) -> Callable[[str, dict[str, Any]], None]:
    """What a run tells goes to the line; with `aloud` each case gets one of its own that stays."""
    from packd.cli.report import print_case

    def on_message(name: str, said: dict[str, Any]) -> None:
        line.on_message(name, said)
        if name == "warning":
            line.aside(lambda: note(f"warning: {said['text']}"))
        if aloud and name == "case":
            title = f"{said['suite']}: {said['name']}"
            line.aside(lambda: print_case(title, said["status"], said["duration_ms"]))

    return on_message


def _by_daemon(
    ref: str,
    socket: Path | None,
    state_dir: Path | None,
    runner: str | None,
    *,
    rebuild: bool,
    verbose: bool,
    as_json: bool,
) -> dict[str, Any]:
    from packd.client import part

    client = client_for(socket, state_dir)
    try:
        wish = {"runner": runner, "rebuild": rebuild}
        with progress(f"testing {ref}") as line:
            tell = _telling(line, aloud=verbose and not as_json)
            said = client.post_live(f"/packs/{part(ref)}/test", wish, on_message=tell)
        run: dict[str, Any] = said["data"]
    except Failure as failure:
        if failure.code in (Code.NOT_FOUND, Code.UNREACHABLE) and Path(ref).is_dir():
            note(f"to test the folder '{ref}' that is here, without a daemon: packd test {shlex.quote(f'./{ref}')}")
        raise
    except KeyboardInterrupt:
        note(f"it goes on in the daemon; to see how it ends: packd tests {typed(ref)} --follow")
        raise
    if as_json:
        say_json(run)
    else:
        note(f"{ref}#{run['revision']} · {run['id']}")
        _print(run, verbose=verbose and line.told < _cases(run["report"]))
    return run


def _cases(report: dict[str, Any] | None) -> int:
    """Those that were told as they ended need not be told again; some formats are read only at the end."""
    return sum(len(suite["test_cases"]) for suite in report["test_suites"]) if report else 0


def _print(outcome: dict[str, Any], *, verbose: bool) -> None:
    from packd.cli.report import print_report

    if outcome["report"]:
        print_report(outcome["report"], verdict=outcome["verdict"], accepted=outcome["accepted"], verbose=verbose)


def _write_junit(report: dict[str, Any], path: Path) -> None:
    from packd.cli.junit import write

    try:
        write(report, path)
    except OSError as failure:
        raise Failure(Code.BAD_REQUEST, f"can't write {path}: {failure.strerror}") from failure
