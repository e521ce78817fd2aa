"""`packd new`: a small pack that passes its own tests."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

import click

from packd.cli.options import A_PATH
from packd.cli.screen import cell, say
from packd.domain.failures import Code, Failure
from packd.domain.printing import typed
from packd.domain.refs import REF_PATTERN, RESERVED, is_ref, ref_from_name

_MANIFEST: Final = """\
ref: {ref_in_yaml}
label: {label_in_yaml}
description: Says hello.
version: 0.1.0

testing:
  runners:
    shell:
      type: script
      entry_point: tests/run_tests.sh
      timeout: 60
"""

_ACTION: Final = """\
ref: {ref}.greet
label: Greet
description: Prints a greeting for a name.
runner_type: shell
entry_point: greet.sh
"""

_SCRIPT: Final = """\
#!/bin/sh
# Usage: greet.sh NAME
name=${1:?usage: greet.sh NAME}
echo "Hello, $name!"
"""

_SUITE: Final = """\
#!/bin/sh
# Run from the pack's own folder: packd does, in a private copy of it.
total=0
passed=0

check() {  # check WHAT EXPECTED ACTUAL
    total=$((total + 1))
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok: $1"
    else
        echo "FAILED: $1: expected '$2', got '$3'"
    fi
}

check "greets by name" "Hello, World!" "$(sh actions/greet.sh World)"

sh actions/greet.sh >/dev/null 2>&1
check "refuses to greet nobody" "yes" "$([ $? -ne 0 ] && echo yes)"

echo "Total Tests: $total"
echo "Passed: $passed"
echo "Failed: $((total - passed))"
[ "$passed" -eq "$total" ]
"""

_FILES: Final = (
    ("pack.yaml", _MANIFEST, 0o644),
    ("actions/greet.yaml", _ACTION, 0o644),
    ("actions/greet.sh", _SCRIPT, 0o755),
    ("tests/run_tests.sh", _SUITE, 0o755),
)


@click.command("new")
@click.argument("name")
@click.option("--dir", "folder", type=A_PATH, default=Path(), metavar="DIR", help="Where to (default: here).")
def command(name: str, folder: Path) -> None:
    """Write a small pack: an action with its script, and a test that proves that it works.

    NAME becomes the pack's ref. Written into a folder that a daemon watches, it is active a moment later.

    \b
    Examples:
      packd new hello
      packd new hello --dir packs

    Exit status: 0 done, 2 NAME can't be a ref, is taken, or the folder can't be written.
    """
    if not is_ref(name):
        raise Failure(
            Code.BAD_REQUEST,
            f"'{name}' can't be a pack's ref ({REF_PATTERN}, and not {' or '.join(sorted(RESERVED))}): try `packd new {ref_from_name(name)}`",
        )
    target = folder / name
    if target.exists() or target.is_symlink():
        raise Failure(Code.BAD_REQUEST, f"{target} is there already: choose another name, or remove it first")
    try:
        _write(target, name)
    except OSError as failure:
        raise Failure(Code.BAD_REQUEST, f"can't write {target}: {failure.strerror or failure}") from failure
    _tell(target)


def _write(target: Path, ref: str) -> None:
    """Whole or not at all: a daemon that watches the folder sees it appear by one rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=".packd-new-"))
    try:
        for path, text, mode in _FILES:
            file = fresh / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(_filled_in(text, ref), encoding="utf-8")
            file.chmod(mode)
        fresh.chmod(0o755)
        fresh.rename(target)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _filled_in(text: str, ref: str) -> str:
    from packd.domain.yaml_scalars import in_yaml  # `on` would be true

    label = ref.replace("_", " ").replace("-", " ").capitalize().strip()
    text = text.replace("{ref_in_yaml}", in_yaml(ref)).replace("{label_in_yaml}", in_yaml(label))
    return text.replace("{ref}", ref)


def _tell(target: Path) -> None:
    path = str(target) if target.is_absolute() or len(target.parts) > 1 else f"./{target}"
    click.secho(f"wrote {path}", fg="green")
    for file, _, _ in _FILES:
        say("  ", cell(file, faint=True))
    say("next:")
    rows = [(f"packd test {typed(path)}", "run its tests, without a daemon")]
    if target.parent == Path():
        rows.append((f"mv {path} packs/", "drop it into a folder that `packd run packs` watches"))
    else:
        rows.append((f"packd run {typed(str(target.parent))}", "test and activate whatever is in that folder"))
        rows.append((f"packd why {target.name}", "what came of it, when a daemon watches the folder"))
    room = max(len(text) for text, _ in rows)
    for text, meaning in rows:
        say(f"  {text:<{room}}  ", cell(meaning, faint=True))
