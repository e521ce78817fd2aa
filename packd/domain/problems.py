"""What validation (or reading a drop) found: stable codes for machines, sentences for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One finding. Errors reject a revision; warnings are shown beside it and change nothing."""

    code: str  # stable and dotted, e.g. "manifest.invalid_ref"
    message: str  # one sentence that names what is wrong and the way out
    file: str | None = None  # path inside the pack, "/"-separated; None when it is about the pack as a whole
    line: int | None = None  # 1-based
    column: int | None = None  # 1-based
    suggestion: str | None = None  # what was probably meant, e.g. the nearest known key
    severity: Severity = "error"

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{where}: {self.sentence}" if where else self.sentence

    @property
    def sentence(self) -> str:
        """The message with what was probably meant, unless it gives that as its own example."""
        if not self.suggestion or f"such as {self.suggestion!r}" in self.message:
            return self.message
        return f"{self.message} (did you mean {self.suggestion!r}?)"

    def to_dict(self) -> dict[str, Any]:
        """JSON form, as in events, markers and `--json` output."""
        return asdict(self)


def errors(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Those that reject."""
    return tuple(problem for problem in problems if problem.severity == "error")
