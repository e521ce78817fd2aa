"""The whole of the HTTP door, joined to the daemon's parts. Imported late: see `packd.api.front`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packd.api.app import create_app
from packd.api.callers import Gate
from packd.api.context import Context
from packd.api.guard import Access, names
from packd.api.housekeeping import Housekeeping
from packd.domain.rates import Rate
from packd.flow.audit_trail import AuditTrail
from packd.terms import readable_roots

if TYPE_CHECKING:
    from fastapi import FastAPI

    from packd.api.tail import Tail
    from packd.bootstrap import Parts


def whole_door(parts: Parts, tail: Tail) -> FastAPI:
    """The application over these parts."""
    api = parts.settings.api
    context = Context(
        registry=parts.registry,
        commands=parts.commands,
        registrar=parts.registrar,
        availability=parts.availability,
        jobs=parts.jobs,
        installer=parts.installer,
        gate=Gate(roots=readable_roots(parts.settings)),
        webhooks=parts.webhooks,
        once=parts.once,
        tokens=parts.tokens,
        metrics=parts.metrics.exposition,
        tail=tail,
        packs_dir=parts.settings.packs_dir,
        health=parts.health,
        settings=parts.configuration.in_force,
        access=Access(
            check_token=parts.tokens.check,
            hosts=names(api.listen, api.hosts),
            most_body=api.body_kb * 1024,
            rate=Rate(quota=api.requests_per_minute, window_s=60.0),
        ),
        trail=AuditTrail(registry=parts.registry, clock=parts.clock),
        housekeeping=Housekeeping(plan=parts.sweeper.plan, sweep=parts.sweeper.run, verify=parts.integrity.check),
    )
    return create_app(context)
