import json
import sys
from pathlib import Path

import pytest

PACK = Path(__file__).resolve().parents[2]
for root in ("lib", "sensors"):
    sys.path.insert(0, str(PACK / root))


class World:
    """An inventory file, a sensor on it, and what the sensor told."""

    def __init__(self, path):
        from host_file_sensor import HostFileSensor

        self.path = path
        self.told = []
        self.sensor = HostFileSensor(str(path), lambda trigger, payload: self.told.append((trigger, payload)))
        self._writes = 0

    def write(self, *names, **facts):
        rows = [dict(facts, name=name) for name in names]
        fresh = self.path.with_name("fresh.{}".format(self._writes))
        fresh.write_text(json.dumps(rows) + " " * self._writes)
        fresh.replace(self.path)
        self._writes += 1

    def kinds(self):
        return [(payload["kind"], payload["name"]) for _, payload in self.told]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "hosts.json")
