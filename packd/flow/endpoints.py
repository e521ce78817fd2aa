"""Endpoints of the configuration file: the registry follows the file, and what an endpoint has not been told stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from packd.domain.event_data import WebhookEndpointEnabled
from packd.registry import outbox, queries, redelivery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packd.flow.clock import Clock
    from packd.registry.registry import Registry, Writer
    from packd.registry.rows import Endpoint

log = structlog.get_logger(__name__)

_ADVICE: Final = "they leave when an endpoint of that name is in the configuration again, also with another address"
ROTATION_S: Final = 86_400.0  # so long the secret that was replaced signs beside the new one


def follow_configuration(registry: Registry, wanted: Iterable[Endpoint], *, clock: Clock) -> None:
    """Make, change and remove endpoints so that those of origin `config` are exactly `wanted`.

    An endpoint that is in the file again goes on where it stopped. One that was disabled stays so until its address
    changes or somebody enables it. A secret that was replaced goes on signing for a day, so that receivers can follow.
    """
    listed = {endpoint.name: endpoint for endpoint in wanted}
    with registry.write() as tx:
        known = {one.name: one for one in queries.every_endpoint_ever(tx.connection)}
        for name, endpoint in listed.items():
            _follow(tx, known.get(name), endpoint, clock)
        gone = [one.name for one in known.values() if _was_configured(one) and one.name not in listed]
        outbox.set_endpoint_state(
            tx.connection, gone, state="removed", reason="it is not in the configuration any more"
        )
        waiting = queries.backlog(tx.connection) if gone else {}
    for name in gone:
        if name in waiting:
            log.warning("webhook.left_untold", endpoint=name, deliveries=waiting[name][0], advice=_ADVICE)


def _follow(tx: Writer, before: Endpoint | None, endpoint: Endpoint, clock: Clock) -> None:
    is_disabled = before is not None and before.state == "disabled"
    if before is not None and is_disabled and before.url == endpoint.url:
        endpoint = replace(endpoint, state=before.state, state_reason=before.state_reason)
    outbox.save_endpoint(tx.connection, endpoint)
    if before is not None and before.state != "removed" and before.secret != endpoint.secret:
        until_s = clock.now() + ROTATION_S
        redelivery.set_secret(tx.connection, before, endpoint.secret, previous_until_s=until_s)
    if is_disabled and endpoint.state == "enabled":
        said = WebhookEndpointEnabled(endpoint=endpoint.name, actor="config")
        tx.emit(said, correlation_id=clock.new_id("chg"))


def _was_configured(endpoint: Endpoint) -> bool:
    return endpoint.origin == "config" and endpoint.state != "removed"
