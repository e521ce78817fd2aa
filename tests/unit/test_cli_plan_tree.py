"""The plan of an installation as people see it."""

from __future__ import annotations

from typing import Any

from packd.cli.plan_tree import tree


def step(ref: str, *needs: str, action: str = "install", **more: Any) -> dict[str, Any]:
    usual = {"version": "1.0.0", "before": None, "asked": False, "index": None, "source": None}
    return {"ref": ref, "needs": list(needs), "action": action, **usual, **more}


def test_a_tree_with_what_is_shared_once() -> None:
    """What several need is written out once; where it comes from and what it replaces is said."""
    steps = [
        step("base", action="keep"),
        step("core", "base", action="update", before="0.9.0", index="main"),
        step("net", "base", "core", asked=True, source="https://h/net.zip"),
    ]
    assert list(tree(steps)) == [
        "net 1.0.0 (new) from https://h/net.zip",
        "├── base 1.0.0 (in use)",
        "└── core 1.0.0 (instead of 0.9.0, index main)",
        "    └── base 1.0.0 (above)",
    ]


def test_packs_that_need_each_other_have_an_end() -> None:
    """A circle is cut where it begins again."""
    assert list(tree([step("a", "b", asked=True), step("b", "a")])) == [
        "a 1.0.0 (new)",
        "└── b 1.0.0 (new)",
        "    └── a 1.0.0 (above)",
    ]
