"""Endpoints of the configuration file: the registry follows the file, and what an endpoint has not been told stays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from packd.registry import outbox, queries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packd.registry.registry import Registry
    from packd.registry.rows import Endpoint


def follow_configuration(registry: Registry, wanted: Iterable[Endpoint]) -> None:
    """Make, change and remove endpoints so that those of origin `config` are exactly `wanted`.

    An endpoint that is in the file again goes on where it stopped. One that was disabled because its receiver asked
    for that stays so until its address changes.
    """
    listed = {endpoint.name: endpoint for endpoint in wanted}
    with registry.write() as tx:
        known = {one.name: one for one in queries.every_endpoint_ever(tx.connection)}
        for name, endpoint in listed.items():
            before = known.get(name)
            stays = before is not None and before.state == "disabled" and before.url == endpoint.url
            if before is not None and stays:
                endpoint = replace(endpoint, state=before.state, state_reason=before.state_reason)  # noqa: PLW2901
            outbox.save_endpoint(tx.connection, endpoint)
        gone = [name for name, one in known.items() if one.origin == "config" and name not in listed]
        outbox.set_endpoint_state(
            tx.connection, gone, state="removed", reason="it is not in the configuration any more"
        )
