"""The courier's loop: uvloop's where there is one, and asyncio's own on every other machine."""

from __future__ import annotations

import asyncio
import importlib.util
import queue
import sys
from typing import Any

import pytest

from packd.domain.deliveries import Outcome
from packd.flow.courier import NetworkCourier
from packd.registry.rows import Delivery
from tests.unit.registry_ground import an_endpoint
from tests.unit.test_flow_departures import a_delivery


class Noting:
    """A sender that says which loop it was asked in."""

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def send(self, attempt: Any) -> Outcome:
        return Outcome(status=204, content_type=type(asyncio.get_running_loop()).__module__)


@pytest.mark.parametrize("there", [True, False])
def test_every_delivery_comes_back(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With uvloop where it is installed, and with asyncio's own loop elsewhere."""
    if there and importlib.util.find_spec("uvloop") is None:
        pytest.skip("this machine has no uvloop")
    if not there:
        monkeypatch.setitem(sys.modules, "uvloop", None)
    courier = NetworkCourier(Noting)  # type: ignore[arg-type]
    courier.start()
    back: queue.SimpleQueue[tuple[Delivery, Outcome]] = queue.SimpleQueue()
    given = [a_delivery(number, "packs/slack") for number in range(20)]
    for delivery in given:
        courier.carry(an_endpoint("siem"), delivery, lambda *came: back.put(came))
    came = [back.get(timeout=20) for _ in given]
    courier.stop()
    assert {delivery.id for delivery, _ in came} == {delivery.id for delivery in given}
    loops = {str(outcome.content_type).split(".")[0] for _, outcome in came}
    assert loops == {"uvloop" if there else "asyncio"}
