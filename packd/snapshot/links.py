"""Where a pack's symbolic links lead. Pure: the links are followed on the list of what was found, not on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from packd.snapshot.limits import finding, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packd.domain.problems import Problem

Whither = Literal["inside", "escapes", "loop", "dangling"]

_MOST_HOPS: Final = 40  # links followed on the way to one target, as in path_resolution(7)
_MOST_STEPS: Final = 1_000_000  # path components looked at for all links of a pack: about a second


class _TangledError(Exception):
    """The links of the pack take more steps to follow than any honest ones."""


class Links:
    """Follows links within one tree."""

    def __init__(self, targets: Mapping[str, str | None]) -> None:
        """`targets`: every path of the tree, with the target of a link and None for everything else."""
        self._targets = targets
        self._steps_left = _MOST_STEPS

    def whither(self, path: str) -> Whither:
        """Where the link at `path` ends up, other links on the way followed as the kernel would.

        A way through something that is not there goes on by name alone, since it may be there tomorrow.
        """
        home = path.split("/")[:-1]
        here, todo, hops, missing = list(home), [path.rsplit("/", 1)[-1]], 0, False
        while todo:
            self._step()
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if not here:
                    return "escapes"
                here.pop()
                continue
            here.append(name)
            at = "/".join(here)
            missing = missing or at not in self._targets
            target = self._targets.get(at)
            if target is None:
                continue
            hops += 1
            if hops > _MOST_HOPS:
                return "loop"
            if target.startswith("/"):
                return "escapes"
            here.pop()
            todo.extend(reversed(target.split("/")))
        if missing:
            return "dangling"
        return "loop" if here == home[: len(here)] else "inside"

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise _TangledError


def link_problems(targets: Mapping[str, str | None]) -> Iterable[Problem]:
    """What is wrong with the links of a tree (see `Links`); at most one problem each."""
    links = Links(targets)
    try:
        for path, target in targets.items():
            if target is not None and (problem := _problem(path, target, links.whither(path))):
                yield problem
    except _TangledError:
        yield finding(
            "tree.links_tangled",
            f"its links take more than {_MOST_STEPS:,} steps to follow: replace links to links by what they lead to",
        )


def _problem(path: str, target: str, whither: Whither) -> Problem | None:
    to = f"this link leads to {shown(target)!r}"
    match whither:
        case "inside":
            return None
        case "escapes":
            said = f"{to}, outside the pack: put what it leads to into the pack, and make the link relative"
            return finding("tree.link_escapes", said, path)
        case "loop":
            said = f"{to}, back to itself or to a folder that it is in: remove it"
            return finding("tree.link_loop", said, path)
        case "dangling":
            said = f"{to}, which is not in the pack: it is kept as it is, and leads nowhere"
            return finding("tree.link_dangling", said, path, severity="warning")
