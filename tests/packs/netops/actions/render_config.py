#!/usr/bin/env python3
"""Prints the configuration of a device: `render_config.py TEMPLATE VALUES.json`."""

import json
import os
import sys

PACK = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir)
sys.path.insert(0, os.path.join(PACK, "lib"))

from netops.render import RenderError, render


def run(template, values):
    """`template` is a name in the pack's templates, never a path."""
    if os.path.basename(template) != template:
        raise RenderError("{!r} is no name of a template".format(template))
    path = os.path.join(PACK, "templates", template + ".conf")
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError:
        raise RenderError("there is no template {!r}".format(template))
    return render(text, values)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        with open(sys.argv[2], encoding="utf-8") as stream:
            given = json.load(stream)
        sys.stdout.write(run(sys.argv[1], given))
    except (OSError, ValueError) as error:
        sys.exit("render_config: {}".format(error))
