"""Taking what is in use back: an earlier revision is in use instead, or, where none was, nothing of the pack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.domain.event_data import PackRolledBack
from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import Trigger
from packd.domain.problems import Problem
from packd.flow import tell
from packd.registry import queries

if TYPE_CHECKING:
    from packd.domain.event_data import RollBackReason
    from packd.registry.registry import Writer
    from packd.registry.rows import Revision


def put_back(
    tx: Writer,
    active: Revision,
    target: Revision,
    *,
    reason: RollBackReason,
    actor: str,
    why: str | None,
    change: str,
    forward: bool = False,
) -> tuple[Revision, Revision]:
    """Returns (withdrawn, restored). `why`: what is wrong with the withdrawn one; `change`: the correlation id.

    `forward`: nothing is. The way leads to a newer one, and what was in use stays one to go back to.
    """
    by = Trigger.SUPERSEDED if forward else Trigger.ROLLED_BACK
    withdrawn, restored = tx.roll_back(_blamed(tx, active, why), target, actor=actor, by=by)
    tx.emit(
        PackRolledBack(
            pack=tell.about(restored, withdrawn),
            reason=reason,
            failed=tell.label(withdrawn),
            restored=tell.label(restored),
            actor=actor,
        ),
        correlation_id=change,
    )
    return withdrawn, restored


def take_out(tx: Writer, active: Revision, *, reason: RollBackReason, actor: str, why: str, change: str) -> Revision:
    """There is none to go back to. Raises Failure CONFLICT when packs in use need it: that would be worse."""
    needy = queries.active_with_needs(tx.connection)
    needed_by = sorted(one.ref for one in needy if any(need["ref"] == active.ref for need in one.needs))
    if needed_by:
        raise Failure(
            Code.CONFLICT,
            f"there is no other revision of '{active.ref}' to go back to, and packs in use need {active.name} "
            f"({', '.join(needed_by)}): it stays in use; drop a better one",
        )
    withdrawn = tx.move(_blamed(tx, active, why), Trigger.ROLLED_BACK)
    tx.emit(
        PackRolledBack(
            pack=tell.about(withdrawn), reason=reason, failed=tell.label(withdrawn), restored=None, actor=actor
        ),
        correlation_id=change,
    )
    return withdrawn


def _blamed(tx: Writer, revision: Revision, why: str | None) -> Revision:
    """With what is wrong with it, for `packd why` and the marker."""
    if why is None:
        return revision
    return tx.change(revision, problems=(Problem(code="health.not_passed", message=why).to_dict(),))
