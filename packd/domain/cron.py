"""A moment that comes again, as crontab(5) writes it: minute, hour, day of month, month, day of week. In UTC."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_FIELDS: Final = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("day_of_week", 0, 7))
_NICKNAMES: Final = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * sun", "@monthly": "0 0 1 * *"}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY_OF_MONTH: Final = ("day", 1, 31)
_WEEKDAY: Final = ("day_of_week", 0, 6)
_PART: Final = re.compile(r"(\*|(\w+)(?:-(\w+))?)(?:/(\d+))?")


class Cron(NamedTuple):
    """The values that each field stands for, sorted; weekdays count from Sunday, 0."""

    minute: tuple[int, ...]
    hour: tuple[int, ...]
    day: tuple[int, ...]
    month: tuple[int, ...]
    day_of_week: tuple[int, ...]
    either_day: bool  # one of the two fields of the day is enough: both are restricted, and hold no star

    def ways(self) -> tuple[dict[str, tuple[int, ...]], ...]:
        """The fields of one moment after another; when any of these comes, this one does."""
        fields = {name: getattr(self, name) for name, _, _ in _FIELDS}
        if not self.either_day:
            return (fields,)
        return tuple(fields | {name: tuple(range(low, high + 1))} for name, low, high in (_DAY_OF_MONTH, _WEEKDAY))


def parse(text: str) -> Cron:
    """Raises ValueError with a sentence that says which field is wrong."""
    words = _NICKNAMES.get(text.strip(), text).split()
    if len(words) != len(_FIELDS):
        raise ValueError("must have five fields (minute hour day month weekday), as in '30 3 * * *', or be @daily")
    minute, hour, day, month, weekday = (_values(word, *field) for word, field in zip(words, _FIELDS, strict=True))
    return Cron(minute, hour, day, month, weekday, either_day="*" not in words[2] + words[4])


def _values(word: str, name: str, low: int, high: int) -> tuple[int, ...]:
    found: set[int] = set()
    for part in word.lower().split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no {name.replace('_', ' ')}")
        whole, first, last, step = match.groups()
        begin = low if whole == "*" else _number(first, name, low, high)
        open_end = whole == "*" or (step is not None and last is None)
        end = high if open_end else _number(last or first, name, low, high)
        if begin > end or step == "0":
            raise ValueError(f"{part!r} is an empty range of {name.replace('_', ' ')}s")
        found.update(range(begin, end + 1, int(step or 1)))
    return tuple(sorted({value % 7 for value in found} if name == "day_of_week" else found))


def _number(text: str, name: str, low: int, high: int) -> int:
    names = {"month": dict(zip(_MONTHS, range(1, 13), strict=True)), "day_of_week": {d: n for n, d in enumerate(_DAYS)}}
    value = names.get(name, {}).get(text, int(text) if text.isdecimal() else -1)
    if not low <= value <= high:
        raise ValueError(f"{text!r} is no {name.replace('_', ' ')}: {low} to {high}")
    return value
