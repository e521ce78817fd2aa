"""`packd`: the list of commands. Each is imported only when it is called, so that every one starts quickly."""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from packd import __version__
from packd.cli.commands import COMMANDS, SECTIONS
from packd.cli.nearest import nearest_command
from packd.cli.options import A_PATH, SOCKET_HELP, STATE_DIR_HELP
from packd.cli.screen import wants_colour
from packd.domain.failures import Code, Failure

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# The exit status of a refusal: 1 the answer is no, 2 bad input, 3 nobody can be asked.
_EXIT_STATUS: Final = {
    Code.BAD_REQUEST: 2,
    Code.UNPROCESSABLE_ENTITY: 2,
    Code.UNREACHABLE: 3,
    Code.UNAVAILABLE: 3,
}

# What is wrong with a path that somebody gave, wherever it is first looked at, and the way out.
_OF_PATHS: Final = {
    errno.EACCES: "run packd as a user who may, or give another path",
    errno.EPERM: "run packd as a user who may, or give another path",
    errno.ENAMETOOLONG: "no file system takes so long a name, give a shorter one",
    errno.ELOOP: "its links lead in a circle, give another path",
}

_NOWHERE: Final = 'the folder that you are in was removed: go to another one, or if it was made anew, cd "$PWD"'

_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells say it

_EPILOG: Final = """\b
Try:  packd new hello --dir packs     a first pack
      packd run packs                 test and activate whatever is dropped there
      packd events --follow           watch it happen, from another terminal

Exit status: 0 fine, 1 the answer is no, 2 bad usage or input, 3 no daemon answers."""


class LazyGroup(click.Group):
    """Knows its commands by name, and turns a refusal into a sentence and an exit status."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """An answer that can't be written is told in a sentence, too; a reader that went away is click's to see to."""
        _open_what_is_closed()
        _spell_out_what_the_locale_lacks()
        try:
            return super().main(*args, **extra)
        except OSError as refusal:
            if not _came_from_writing(refusal):
                raise
            _give_up_stdout()
            _complain(f"can't write to stdout: {refusal.strerror}")
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"packd.cli.{COMMANDS[cmd_name].module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """A mistyped name gets the nearest one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest_command(args[0], COMMANDS)
            hint = f"did you mean '{near}'?" if near else "`packd --help` lists what there is"
            raise click.UsageError(f"there is no command '{args[0]}'; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands from the table, without importing what it names; and options."""
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=entry.line) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, without importing what it names."""
        room = max(map(len, COMMANDS))
        for title in SECTIONS:
            with formatter.section(title):
                listed = [(name, entry.line) for name, entry in COMMANDS.items() if entry.section == title]
                formatter.write_dl([(f"{name:<{room}}", line) for name, line in listed])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Failure as failure:
            _complain(failure.sentence)
            ctx.exit(_EXIT_STATUS.get(failure.code, 1))
        except OSError as refusal:
            if refusal.errno == errno.ENOENT and _stands_nowhere():
                _complain(_NOWHERE)
                ctx.exit(_EXIT_STATUS[Code.BAD_REQUEST])
            if refusal.filename is None or refusal.errno not in _OF_PATHS:
                raise
            where = os.fsdecode(refusal.filename)
            _complain(f"{where} can't be used: {refusal.strerror}; {_OF_PATHS[refusal.errno]}")
            ctx.exit(_EXIT_STATUS[Code.BAD_REQUEST])
        except KeyboardInterrupt:
            click.echo(err=True)  # the terminal's ^C stands on a line of its own
            ctx.exit(_INTERRUPTED)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "--version", message="packd %(version)s")
@click.option("--socket", type=A_PATH, metavar="PATH", help=SOCKET_HELP)
@click.option("--state-dir", type=A_PATH, metavar="DIR", help=STATE_DIR_HELP)
@click.pass_context
def cli(ctx: click.Context, socket: Path | None, state_dir: Path | None) -> None:
    """packd tests the packs that you drop into a folder and makes the good ones active."""
    if not wants_colour():
        ctx.color = False
    if ctx.invoked_subcommand is None:
        from packd.cli.overview import print_overview

        print_overview(socket, state_dir)


def _open_what_is_closed() -> None:
    """As after `>&-`: what is then written is refused, and no file or socket takes that descriptor."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_RDONLY), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


def _spell_out_what_the_locale_lacks() -> None:
    """Where it is not UTF-8, a sign or a name that it has no character for is no reason to say nothing; as on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")


def _came_from_writing(refusal: OSError) -> bool:
    """All that is printed goes through click.echo."""
    import traceback

    *_, (innermost, _) = traceback.walk_tb(refusal.__traceback__)
    return innermost.f_code is click.echo.__code__


def _give_up_stdout() -> None:
    """What is left in the buffer would be refused again while Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stands_nowhere() -> bool:
    """Is the working directory gone, as in a terminal that was left open in it?"""
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _complain(sentence: str) -> None:
    from packd.cli.screen import terminal_columns
    from packd.cli.text import folded, told_here
    from packd.domain.printing import clean

    prefix = "packd: "
    for line in folded(
        told_here(clean(sentence)), terminal_columns(sys.stderr), indent=prefix, hanging=" " * len(prefix)
    ):
        shown = line.removeprefix(prefix)
        styled = click.style(prefix.rstrip(), fg="red", bold=True) + " " if shown is not line else ""
        click.echo(f"{styled}{shown}", err=True, color=None if wants_colour() else False)
