#!/usr/bin/env python3
"""Prints a plan: JSON in, JSON out."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lib"))

from netops.subnets import free, plan


def run(network, wishes):
    planned = plan(network, wishes)
    return {
        "subnets": {name: str(subnet) for name, subnet in planned.items()},
        "free": [str(subnet) for subnet in free(network, planned)],
    }


if __name__ == "__main__":
    try:
        json.dump(run(**json.load(sys.stdin)), sys.stdout)
    except (TypeError, ValueError) as error:
        sys.exit("plan_subnets: {}".format(error))
