"""What can be said of the schema without SQLAlchemy: its version, and what rows are called."""

from __future__ import annotations

from typing import Final

from packd.domain.lifecycle import UNFINISHED, Phase

SCHEMA_VERSION: Final = "0004"


def one_of(column: str, words: object) -> str:
    """SQL: the column holds one of these words."""
    listed = ", ".join(f"'{word}'" for word in sorted(words))  # type: ignore[call-overload]
    return f"{column} IN ({listed})"


# The conditions of partial indexes. A query is served by such an index only if it asks in the same words.
IS_ACTIVE: Final = "phase = 'active'"
IS_ACTIVE_WITH_NEEDS: Final = "phase = 'active' AND json_array_length(needs) > 0"
IS_CANDIDATE: Final = one_of("phase", UNFINISHED)
IS_WAITING: Final = one_of("phase", (Phase.TESTED, Phase.WAITING))  # maybe for another pack
IS_REFUSED: Final = "json_array_length(problems) > 0 AND gone_at_s IS NULL"
IS_PRESENT: Final = "unregistered_at IS NULL"
IS_PENDING: Final = "state = 'pending'"
IS_PENDING_LATER: Final = "state = 'pending' AND next_attempt_at_s IS NOT NULL"
