"""Numbers that databases count with: of revisions, of events, of deliveries."""

from __future__ import annotations

from typing import Final

MOST: Final = 2**63 - 1  # a database can't even be asked for more
