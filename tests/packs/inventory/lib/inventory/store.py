"""The file with the hosts, and what is different between two of them."""

import collections
import json
import os
import tempfile

from inventory.hosts import Host, HostError

Change = collections.namedtuple("Change", "kind name before after")


def load(path):
    """The hosts of a file by name. A file that is not there has none."""
    try:
        with open(path, encoding="utf-8") as stream:
            rows = json.load(stream)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise HostError("{}: {}".format(path, error))
    if not isinstance(rows, list):
        raise HostError("{}: a list of hosts is expected".format(path))
    hosts = {}
    for row in rows:
        host = Host.from_dict(row)
        if host.name in hosts:
            raise HostError("{}: {} is there twice".format(path, host.name))
        hosts[host.name] = host
    return hosts


def save(path, hosts):
    """Write all hosts at once: a reader sees the old file or the new one, never half of it."""
    rows = [hosts[name].to_dict() for name in sorted(hosts)]
    folder = os.path.dirname(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".hosts-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(rows, stream, indent=2, sort_keys=True)
            stream.write("\n")
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def changes(before, after):
    """What must be told to somebody who knows `before`: added, removed and changed hosts by name."""
    found = []
    for name in sorted(set(before) | set(after)):
        old, new = before.get(name), after.get(name)
        if old is None:
            found.append(Change("added", name, None, new))
        elif new is None:
            found.append(Change("removed", name, old, None))
        elif old != new:
            found.append(Change("changed", name, old, new))
    return found
