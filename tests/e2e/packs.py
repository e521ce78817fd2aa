"""Small packs, written where they are needed."""

from __future__ import annotations

import textwrap
from pathlib import Path


def write_pack(
    folder: Path, ref: str, version: str = "1.0.0", *, test: str = "exit 0", needs: str = "", extra: str = ""
) -> Path:
    """A pack with one action and one shell suite; `test` is the suite's script."""
    (folder / "actions").mkdir(parents=True, exist_ok=True)
    (folder / "tests").mkdir(exist_ok=True)
    (folder / "pack.yaml").write_text(
        textwrap.dedent(f"""\
            ref: {ref}
            version: "{version}"
            dependencies: [{needs}]
            testing:
              runners:
                shell: {{type: script, entry_point: tests/run_tests.sh, timeout: 20}}
            """)
        + extra
    )
    (folder / "actions" / "greet.yaml").write_text(
        f"ref: {ref}.greet\nlabel: Greet\ndescription: Says hello\nrunner_type: shell\nentry_point: greet.sh\n"
    )
    script(folder / "actions" / "greet.sh", "echo hello")
    script(folder / "tests" / "run_tests.sh", test)
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
