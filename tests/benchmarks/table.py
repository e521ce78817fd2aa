"""What was measured, as values, as a table for people and as JSON for machines."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

_COLUMNS = ("", "measured", "packd", "spread", "bare", "spread", "ratio", "goal", "")
_FEW = 20  # below this many samples the spread is all of them, from here on the middle 80 %


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The same thing measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """From the 10th to the 90th percentile; of fewer than 20 samples the least and the most."""
        if len(self.values) < _FEW:
            return min(self.values), max(self.values)
        tenths = statistics.quantiles(self.values, n=10)
        return tenths[0], tenths[-1]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What the figure should be; `says` is for people, `reached` gets packd's median and the ratio."""

    says: str
    reached: Callable[[float, float], bool]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table."""

    bench: str  # "a" to "e"
    what: str  # what was measured
    unit: str
    packd: Samples
    bare: Samples | None  # the peer in the same run; None where there is nothing to compare with
    goal: Goal | None = None

    @property
    def ratio(self) -> float:
        """packd's median over the peer's; NaN without a peer."""
        if self.bare is None:
            return math.nan
        return self.packd.median / self.bare.median if self.bare.median else math.inf

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "reached" if self.goal.reached(self.packd.median, self.ratio) else "missed"


def samples(values: Iterable[float]) -> Samples:
    return Samples(values=tuple(values))


def table(figures: Iterable[Figure]) -> str:
    """Aligned columns, one line a figure."""
    lines = [_COLUMNS, *(_cells(figure) for figure in figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_COLUMNS))]
    aligned = ("  ".join(f"{cell:{'<' if n < 2 else '>'}{widths[n]}}" for n, cell in enumerate(line)) for line in lines)
    return "\n".join(line.rstrip() for line in aligned)


def to_dict(figure: Figure) -> dict[str, Any]:
    """For JSON: everything, the single values included."""
    return {
        "bench": figure.bench,
        "what": figure.what,
        "unit": figure.unit,
        "packd": _samples_dict(figure.packd),
        "bare": None if figure.bare is None else _samples_dict(figure.bare),
        "ratio": round(figure.ratio, 3) if math.isfinite(figure.ratio) else None,
        "goal": None if figure.goal is None else {"says": figure.goal.says, "verdict": figure.verdict},
    }


def _cells(figure: Figure) -> tuple[str, ...]:
    bare, ratio = figure.bare, figure.ratio
    return (
        figure.bench,
        figure.what,
        f"{_short(figure.packd.median)} {figure.unit}",
        _span(figure.packd),
        "" if bare is None else f"{_short(bare.median)} {figure.unit}",
        "" if bare is None else _span(bare),
        f"{ratio:.2f}" if math.isfinite(ratio) else "",
        figure.goal.says if figure.goal else "",
        figure.verdict,
    )


def _span(measured: Samples) -> str:
    low, high = measured.spread
    return f"{_short(low)}–{_short(high)}"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _samples_dict(measured: Samples) -> dict[str, Any]:
    low, high = measured.spread
    return {
        "median": round(measured.median, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "n": len(measured.values),
        "values": [round(value, 4) for value in measured.values],
    }
