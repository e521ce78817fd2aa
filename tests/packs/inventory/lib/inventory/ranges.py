"""Many names in one: `web[01-03,7].example` is four hosts."""

import re

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_SPAN = re.compile(r"(\d+)(?:-(\d+))?$")
LIMIT = 10_000


class RangeError(ValueError):
    """The brackets say nothing that can be counted."""


def expand(pattern):
    """All names, in order, without repeating one. Leading zeros are kept."""
    names = [""]
    position = 0
    for match in _BRACKETS.finditer(pattern):
        names = [name + pattern[position : match.start()] for name in names]
        numbers = _numbers(match.group(1), pattern)
        if len(names) * len(numbers) > LIMIT:
            raise RangeError("{!r} is more than {} names".format(pattern, LIMIT))
        names = [name + number for name in names for number in numbers]
        position = match.end()
    rest = pattern[position:]
    if "[" in rest or "]" in rest:
        raise RangeError("{!r} has a bracket without its other half".format(pattern))
    return list(dict.fromkeys(name + rest for name in names))


def _numbers(text, pattern):
    numbers = []
    for part in text.split(","):
        match = _SPAN.match(part.strip())
        if not match:
            raise RangeError("{!r} in {!r} is no number and no range".format(part, pattern))
        first, last = match.group(1), match.group(2) or match.group(1)
        if int(last) < int(first):
            raise RangeError("{!r} in {!r} counts down".format(part, pattern))
        if int(last) - int(first) >= LIMIT:
            raise RangeError("{!r} is more than {} names".format(pattern, LIMIT))
        numbers.extend(str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    return numbers
