#!/usr/bin/env python3
"""Hosts that answer a question."""

import sys

from _action import main

import inventory


def run(path, query="", limit=None, fields=None):
    hosts = inventory.matching(inventory.load(path).values(), query)
    chosen = hosts[:limit] if limit is not None else hosts
    rows = [{key: host.get(key) for key in fields} if fields else host.to_dict() for host in chosen]
    return {"count": len(hosts), "hosts": rows}


if __name__ == "__main__":
    sys.exit(main(run))
