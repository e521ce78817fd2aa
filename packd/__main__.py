"""`python -m packd`, and what the `packd` script calls."""

from __future__ import annotations

from packd.cli.app import cli


def main() -> None:
    """Leaves with the command's exit status."""
    cli(prog_name="packd")


if __name__ == "__main__":
    main()
