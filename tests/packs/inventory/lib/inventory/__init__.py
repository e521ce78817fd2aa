"""Hosts, and what one asks about them."""

from inventory.hosts import Host, HostError
from inventory.query import QueryError, matching
from inventory.ranges import RangeError, expand
from inventory.store import Change, changes, load, save

__all__ = [
    "Change",
    "Host",
    "HostError",
    "QueryError",
    "RangeError",
    "changes",
    "expand",
    "load",
    "matching",
    "save",
]
