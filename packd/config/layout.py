"""Do the folders that are configured keep out of each other's way?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packd.config.layers import BadConfig
from packd.domain.problems import Problem

if TYPE_CHECKING:
    from packd.config.settings import Settings

# What packd has in its state directory. Beside them there may be more: the packaged service has its packs/ there.
_OWN: Final = ("active", "environments", "fetch", "indexes", "misplaced", "sandbox", "store", "work")


def check_layout(settings: Settings) -> None:
    """Raises BadConfig when packd would take what is its own for a pack, or packs for its own. Links are followed."""
    said = _overlap(settings.packs_dir, settings.state_dir)
    if said is not None:
        origins = [settings._origins.get((key,)) for key in ("packs_dir", "state_dir")]
        where = " and ".join(origin for origin in origins if origin) or None
        raise BadConfig((Problem(code="config.invalid_value", message=said, file=where),))


def _overlap(packs_dir: Path, state_dir: Path) -> str | None:
    packs = Path(os.path.realpath(packs_dir))
    for own in (state_dir, *(state_dir / name for name in _OWN)):
        real = Path(os.path.realpath(own))
        if real == packs:
            return f"the packs directory {packs_dir} is packd's own {own}: {_WAY_OUT}"
        if packs in real.parents and not real.relative_to(packs).parts[0].startswith("."):  # those are never packs
            return f"the state directory {state_dir} lies in the packs directory {packs_dir}, and would be taken for a pack: {_WAY_OUT}"
        if real in packs.parents and own != state_dir:
            return f"the packs directory {packs_dir} lies in packd's own {own}: {_WAY_OUT}"
    return None


_WAY_OUT: Final = "keep them apart, by --state-dir or by another PACKS_DIR (state_dir and packs_dir in the file)"
