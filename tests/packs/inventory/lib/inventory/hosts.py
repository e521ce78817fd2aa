"""One host."""

import ipaddress
import re

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)$")


class HostError(ValueError):
    """What is said of a host makes no sense."""


class Host:
    """A name, an address and what else is known; two hosts with the same facts are equal."""

    __slots__ = ("address", "facts", "name")

    def __init__(self, name, address=None, **facts):
        self.name = _checked_name(name)
        self.address = _checked_address(address, name)
        self.facts = {key: str(value) for key, value in facts.items() if value not in (None, "")}

    def __eq__(self, other):
        return isinstance(other, Host) and self.to_dict() == other.to_dict()

    __hash__ = None

    def __repr__(self):
        return "Host({!r}, {!r}, {!r})".format(self.name, self.address, self.facts)

    def get(self, key):
        """A fact; `name` and `address` are facts as well, and what is not known is empty."""
        if key == "name":
            return self.name
        if key == "address":
            return self.address or ""
        return self.facts.get(key, "")

    def to_dict(self):
        return dict(self.facts, name=self.name, address=self.address)

    @classmethod
    def from_dict(cls, value):
        if not isinstance(value, dict) or "name" not in value:
            raise HostError("a host needs a name: {!r}".format(value))
        return cls(**value)


def _checked_name(name):
    lowered = str(name).strip().lower().rstrip(".")
    if not lowered or len(lowered) > 253:
        raise HostError("{!r} is no host name".format(name))
    for label in lowered.split("."):
        if not _LABEL.match(label):
            raise HostError("{!r} is no host name because of {!r}".format(name, label))
    return lowered


def _checked_address(address, name):
    if address in (None, ""):
        return None
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise HostError("{!r} is no address (host {})".format(address, name))
