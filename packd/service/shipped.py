"""The unit files and their company, as they are shipped with packd."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGED: Final = Path(__file__).parent / "shipped"  # in a wheel
_REPOSITORY: Final = Path(__file__).resolve().parents[2]  # in a checkout


def shipped(name: str) -> str:
    """The text of e.g. `systemd/packd.service` or `config/packd.yaml`. Raises FileNotFoundError when it is not there."""
    for folder in (_PACKAGED, _REPOSITORY):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise FileNotFoundError(2, "packd was installed without it; install it again, from a wheel or a checkout", name)
