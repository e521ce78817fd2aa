import os
import threading

import pytest

from inventory import Host, changes, load, save


def test_the_first_look_only_learns(world):
    world.write("a", "b")
    assert world.sensor.poll() == 0
    assert world.told == []


@pytest.mark.parametrize(
    ("after", "kinds"),
    [
        (["a", "b"], []),
        (["a"], [("removed", "b")]),
        (["a", "b", "c"], [("added", "c")]),
        (["c"], [("removed", "a"), ("removed", "b"), ("added", "c")]),
        ([], [("removed", "a"), ("removed", "b")]),
    ],
)
def test_every_difference_is_told_once(world, after, kinds):
    world.write("a", "b")
    world.sensor.poll()
    world.write(*after)
    assert world.sensor.poll() == len(kinds)
    assert sorted(world.kinds()) == sorted(kinds)
    assert world.sensor.poll() == 0


def test_a_changed_fact_is_a_change(world):
    world.write("a", role="web")
    world.sensor.poll()
    world.write("a", role="db")
    world.sensor.poll()
    assert world.kinds() == [("changed", "a")]


def test_a_file_that_comes_and_goes(world):
    assert world.sensor.poll() == 0
    world.write("a")
    world.sensor.poll()
    world.path.unlink()
    world.sensor.poll()
    assert world.kinds() == [("added", "a"), ("removed", "a")]


def test_a_broken_file_is_waited_for(world):
    world.write("a")
    world.sensor.poll()
    world.path.write_text("[{")
    assert world.sensor.poll() == 0
    assert world.sensor.troubles == 1
    world.write("a", "b")
    assert world.sensor.poll() == 1


def test_the_region_is_told(world, monkeypatch):
    monkeypatch.setattr(world.sensor, "region", "eu-north")
    world.write()
    world.sensor.poll()
    world.write("a")
    world.sensor.poll()
    assert world.told == [("inventory.hosts_changed", {"kind": "added", "name": "a", "region": "eu-north"})]


@pytest.mark.skipif("INVENTORY_REGION" not in os.environ, reason="no region is set here")
def test_the_region_comes_from_the_environment(world):
    assert world.sensor.region == os.environ["INVENTORY_REGION"]


@pytest.mark.skip(reason="needs a network file system that loses its server")
def test_a_server_that_goes_away():
    raise AssertionError("not reached")


@pytest.mark.slow
def test_a_reader_never_sees_half_a_file(tmp_path):
    path = str(tmp_path / "hosts.json")
    many = {"h%d" % number: Host("h%d" % number) for number in range(50)}
    save(path, many)
    stop = threading.Event()

    def write():
        while not stop.is_set():
            save(path, many)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            assert changes(many, load(path)) == []
    finally:
        stop.set()
        writer.join()
    assert os.listdir(str(tmp_path)) == ["hosts.json"]
