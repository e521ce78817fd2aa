"""What an installation brings beside the code: the manual page and the completions, made from the list of commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Each asks packd itself on first use, so that they are never older than the commands.
COMPLETIONS = {
    "share/bash-completion/completions/packd": 'eval "$(_PACKD_COMPLETE=bash_source packd)"\n',
    "share/zsh/site-functions/_packd": '#compdef packd\neval "$(_PACKD_COMPLETE=zsh_source packd)"\n',
    "share/fish/vendor_completions.d/packd.fish": "_PACKD_COMPLETE=fish_source packd | source\n",
}


class Beside(BuildHookInterface):  # type: ignore[misc]
    """Adds the files to the wheel, under `share/`."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built, an editable one as well."""
        sys.path.insert(0, self.root)
        from packd.cli.manual import manual  # needs nothing that is not in the standard library

        folder = Path(self.directory) / "share-of-packd"
        for place, text in {"share/man/man1/packd.1": manual(), **COMPLETIONS}.items():
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(path)] = place
