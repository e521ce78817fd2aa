#!/usr/bin/env python3
"""Hosts from a CSV file into the inventory."""

import csv
import sys

from _action import main

import inventory


def run(path, source, replace=False, dry_run=False):
    before = inventory.load(path)
    after = {} if replace else dict(before)
    for host in rows(source):
        after[host.name] = host
    found = inventory.changes(before, after)
    if found and not dry_run:
        inventory.save(path, after)
    told = {kind: [change.name for change in found if change.kind == kind] for kind in ("added", "changed", "removed")}
    return dict(told, total=len(after))


def rows(source):
    """Every host of the file; a name may stand for many, as in `web[01-03]`."""
    with open(source, newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if "name" not in (reader.fieldnames or ()):
            raise inventory.HostError("{}: there is no column called name".format(source))
        for row in reader:
            if None in row:
                raise inventory.HostError("{}:{}: more fields than columns".format(source, reader.line_num))
            pattern = row.pop("name")
            names = inventory.expand(pattern)
            if len(names) > 1 and row.get("address"):
                raise inventory.HostError("{}:{}: one address for many".format(source, reader.line_num))
            for name in names:
                yield inventory.Host(name, **row)


if __name__ == "__main__":
    sys.exit(main(run))
