"""Is what lies in a drop something new, of which a revision is to be made?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.lifecycle import Phase
from packd.flow import owners

if TYPE_CHECKING:
    from packd.registry.rows import Drop, Pack, Revision


def is_left_alone(known: Drop | None, seen: Drop) -> bool:
    """An operator removed the pack, and this is the content that was meant."""
    # Without a digest it was about to be read again when it was removed: what is found now is what was meant.
    return known is not None and known.held and known.digest in (None, seen.digest)


def is_nothing_new(pack: Pack | None, latest: Revision | None, known: Drop | None, seen: Drop) -> bool:
    """Content equal to the latest revision is a no-op, and so is content that packd itself put there."""
    if pack is None or not pack.is_present or latest is None:
        return False
    if latest.digest == seen.digest:
        return not _was_passed_over(pack, latest, known)
    return pack.drop_name == seen.name and known is not None and not known.problems and known.digest == seen.digest


def _was_passed_over(pack: Pack, latest: Revision, known: Drop | None) -> bool:
    """It was on its way when the pack lost its drop, was taken out of use or rolled back, and is to be read as if it
    were new now."""
    if latest.phase != Phase.SUPERSEDED:
        return False
    return owners.is_left_behind(pack) or (known is not None and known.digest is None)
