"""What every action of this pack does around its own work: parameters come as JSON on stdin, the answer goes to stdout."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "lib"))


def main(run):
    """Exit status 0 with an answer, 1 when the work failed, 2 when the parameters make no sense."""
    try:
        parameters = json.load(sys.stdin)
        if not isinstance(parameters, dict):
            raise TypeError("an object is expected")
    except (ValueError, TypeError) as error:
        print("parameters: {}".format(error), file=sys.stderr)
        return 2
    try:
        answer = run(**parameters)
    except TypeError as error:
        print("parameters: {}".format(error), file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    json.dump(answer, sys.stdout, sort_keys=True)
    print()
    return 0
