"""Which rung contains which attack, as a table: `python -m tests.attacks.table` carries all of them out and writes it.

Without `--write` it is only shown. The test of it compares what `tests/README.md` says with `declared.py`, and the
attacks themselves compare that with what happens.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.attacks import rungs
from tests.attacks.arena import Arena
from tests.attacks.declared import ATTACKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.declared import Attack

README: Final = Path(__file__).parents[1] / "README.md"
_BEGIN: Final = "<!-- attacks: written by `python -m tests.attacks.table --write` -->\n"
_END: Final = "<!-- /attacks -->\n"
_WORDS: Final = {True: "contained", False: "**no**", None: "?"}


def table(contained: Callable[[Attack, str], bool | None]) -> str:
    """In Markdown; None where nobody knows."""
    lines = [
        f"| a pack that … | its run is judged | {' | '.join(rungs.NAMES)} |",
        "|---|---|" + "---|" * len(rungs.NAMES),
    ]
    for attack in ATTACKS:
        cells = (_WORDS[contained(attack, rung)] for rung in rungs.NAMES)
        verdict = " ".join(f"`{word}`" for word in dict.fromkeys(attack.verdict) if word)
        lines.append(f"| {attack.does} | {verdict} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def declared() -> str:
    """As it should be."""
    return table(lambda attack, rung: rung not in attack.escapes)


def written(text: str) -> str:
    """The table in a README."""
    return text.partition(_BEGIN)[2].partition(_END)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="into tests/README.md")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="packd-rungs-") as folder:
        working = list(rungs.working(Path(folder)))
    found = {(attack.pack, rung): result for rung in working for attack, result in _carried_out(rung)}
    unknown = [rung for rung in rungs.NAMES if rung not in working]
    if unknown:
        print(f"not to be had on this machine, so taken as declared: {', '.join(unknown)}", file=sys.stderr)
    found |= {(attack.pack, rung): False for attack in ATTACKS if attack.varies for rung in attack.escapes}
    made = table(lambda attack, rung: found.get((attack.pack, rung), rung not in attack.escapes))
    print(made)
    if asked.write:
        text = README.read_text()
        README.write_text(text.replace(f"{_BEGIN}{written(text)}{_END}", f"{_BEGIN}{made}{_END}"))


def _carried_out(rung: str) -> list[tuple[Attack, bool]]:
    with tempfile.TemporaryDirectory(prefix="packd-attacks-") as folder:
        arena = Arena(Path(folder) / "arena", rung)
        try:
            results = []
            for attack in ATTACKS:
                print(f"{rung}: {attack.pack} …", file=sys.stderr, flush=True)
                results.append((attack, arena.carry_out(attack).contained(attack.verdict)))
            return results
        finally:
            arena.close()


if __name__ == "__main__":
    main()
