#!/usr/bin/env python3
"""What is different between two inventories."""

import sys

from _action import main

import inventory


def run(before, after):
    found = inventory.changes(inventory.load(before), inventory.load(after))
    return [
        {
            "kind": change.kind,
            "name": change.name,
            "facts": facts(change.before, change.after) if change.kind == "changed" else {},
        }
        for change in found
    ]


def facts(before, after):
    """Only what is different, as [before, after]."""
    old, new = before.to_dict(), after.to_dict()
    return {key: [old.get(key), new.get(key)] for key in sorted(set(old) | set(new)) if old.get(key) != new.get(key)}


if __name__ == "__main__":
    sys.exit(main(run))
