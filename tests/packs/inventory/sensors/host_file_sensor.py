"""Notices changes of the inventory and tells them, one event a host."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lib"))

import inventory

TRIGGER = "inventory.hosts_changed"


class HostFileSensor:
    """Polled by whoever runs it; `dispatch` is called with a trigger and its payload."""

    def __init__(self, path, dispatch, region=None):
        self.path = path
        self.region = region or os.environ.get("INVENTORY_REGION", "")
        self._dispatch = dispatch
        self._seen = None
        self._stamp = None
        self.troubles = 0

    def poll(self):
        """Look once. The first look only learns; a file that cannot be read is looked at again the next time."""
        stamp = self._stat()
        if self._seen is not None and stamp == self._stamp:
            return 0
        try:
            hosts = inventory.load(self.path)
        except inventory.HostError:
            self.troubles += 1
            return 0
        before, self._seen, self._stamp = self._seen, hosts, stamp
        if before is None:
            return 0
        return self._tell(inventory.changes(before, hosts))

    def _tell(self, changes):
        for change in changes:
            self._dispatch(TRIGGER, {"kind": change.kind, "name": change.name, "region": self.region})
        return len(changes)

    def _stat(self):
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
