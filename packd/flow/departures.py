"""What stands ready to leave, in memory: in order per lane, lanes side by side, endpoints in turns.

It lies between the registry and the courier, so that what stands behind an arrival leaves at once, without a question
to the registry in between. It knows no thread, clock or database; whoever shares it holds a lock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from packd.domain.deliveries import ONLY_LANE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from packd.registry.rows import Delivery, Endpoint

AT_ONCE: Final = 256  # POSTs under way over all endpoints: a few that hang leave room for the rest
AT_ONCE_EACH: Final = 16  # to one endpoint, so that one that is slow leaves room for the others
_STANDING: Final = 1024  # deliveries over all endpoints that are read ahead: at 20 KiB each, 20 MiB
_STANDING_EACH: Final = 128


@dataclass(kw_only=True, eq=False)
class Gate:
    """Where the deliveries for one endpoint leave."""

    endpoint: Endpoint
    most: int = 0  # under way at once; 0: nothing may leave now
    is_calm: bool = False  # an arrival lets the next one of its lane leave before it is written down
    standing: list[Delivery] = field(default_factory=list)  # read and ready, in order
    away: dict[int, Delivery] = field(default_factory=dict)  # by id: those under way, or held
    held: int = 0  # came back, and must be written down before anything else leaves
    read_up_to: int = 0  # the event of the last one that was read
    has_more: bool = True  # there may be more behind that
    due_s: float | None = None  # Unix seconds at which something that waits now may leave
    not_before_s: float = 0.0  # Unix seconds, where a rate was asked for
    is_in_turns: bool = False

    def begin_anew(self) -> None:
        """What was read may have changed: it is read once more, from the first that waits."""
        self.standing.clear()
        self.read_up_to, self.has_more, self.due_s = 0, True, None

    def takes(self, most: int) -> int:
        """How many should be read now, if `most` may stand here; 0 while there are enough."""
        if not self.most or not self.has_more or len(self.standing) * 2 > most:
            return 0
        return most - len(self.standing)

    def next(self) -> Delivery | None:
        """The first one of which nothing of its lane is under way; it stands here no more."""
        if len(self.away) < self.most:
            taken = {lane for one in self.away.values() for lane in _lanes_of(one)}
            for place, delivery in enumerate(self.standing):
                if delivery.lane not in taken:
                    return self.standing.pop(place)
        return None


def _lanes_of(delivery: Delivery) -> tuple[str, str, str]:
    """In which it goes, whatever the ordering: that may have been changed since it left."""
    return ONLY_LANE, delivery.subject, delivery.lane


class Departures:
    """The gates. A delivery is *unsettled* from when it leaves until what came of it is written down."""

    def __init__(self) -> None:
        self.gates: dict[str, Gate] = {}
        self.under_way = 0  # or held
        self.most_standing = _STANDING_EACH  # at one gate
        self._unsettled: set[int] = set()
        self._turns: deque[Gate] = deque()  # those where something may leave

    def __bool__(self) -> bool:
        """Is anything under way, or ready to be?"""
        return self.under_way > 0 or any(gate.standing for gate in self.gates.values())

    def follow(self, endpoints: Sequence[Endpoint]) -> None:
        """These are there, as they are now; nothing that was read before holds any more."""
        there = {endpoint.name for endpoint in endpoints}
        for name in [name for name, gate in self.gates.items() if name not in there and not gate.away]:
            self._close(self.gates.pop(name))
        for name, gate in self.gates.items():
            gate.most = 0
            gate.begin_anew()
            if name not in there:  # it is only waited for what is still under way
                gate.endpoint = replace(gate.endpoint, state="removed")
        for endpoint in endpoints:
            self.gates.setdefault(endpoint.name, Gate(endpoint=endpoint)).endpoint = endpoint
        self.most_standing = max(1, min(_STANDING_EACH, _STANDING // max(1, len(endpoints))))

    def stand(self, gate: Gate, found: Sequence[Delivery]) -> None:
        """They were read, and stand ready unless they left already. Not while something has to be written down first."""
        if not gate.held:
            gate.standing += [delivery for delivery in found if delivery.id not in self._unsettled]
            self._offer(gate)

    def leaving(self) -> Iterator[tuple[Gate, Delivery]]:
        """All that may leave now: one of each endpoint, then the next of each."""
        while self._turns and self.under_way < AT_ONCE:
            gate = self._turns.popleft()
            gate.is_in_turns = False
            delivery = gate.next()
            if delivery is not None:
                gate.away[delivery.id] = delivery
                self._unsettled.add(delivery.id)
                self.under_way += 1
                self._offer(gate)
                yield gate, delivery

    def came_back(self, delivery: Delivery, *, arrived: bool) -> bool:
        """Its lane goes on if it arrived and all is well; else False, and nothing leaves here until it is written down."""
        gate = self.gates.get(delivery.endpoint)
        if gate is None or delivery.id not in gate.away:  # it was given up, and comes back all the same
            return False
        if arrived and gate.is_calm:
            del gate.away[delivery.id]
            self.under_way -= 1
            self._offer(gate)
            return True
        gate.held += 1
        gate.standing.clear()
        return False

    def written(self, delivery: Delivery) -> bool:
        """Or it could not be, and leaves again; True when it was held."""
        self._unsettled.discard(delivery.id)
        gate = self.gates.get(delivery.endpoint)
        if gate is None or delivery.id not in gate.away:  # its lane went on already, or is there no more
            return False
        del gate.away[delivery.id]
        gate.held -= 1
        self.under_way -= 1
        return True

    def is_dry(self, name: str) -> bool:
        """Nothing stands ready for it, though there may be more to read."""
        gate = self.gates[name]
        return gate.has_more and not gate.standing and gate.most > 0

    def _close(self, gate: Gate) -> None:
        """What stands there leaves no more, though its turn may not have come yet."""
        gate.most = 0
        gate.begin_anew()
        if gate.is_in_turns:
            gate.is_in_turns = False
            self._turns.remove(gate)

    def _offer(self, gate: Gate) -> None:
        if gate.standing and not gate.is_in_turns:
            gate.is_in_turns = True
            self._turns.append(gate)
