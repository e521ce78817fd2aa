"""A name that no pack has: what is said of it, and by every command alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import MagicMock, Mock

import pytest

from packd.domain.failures import Code, Failure
from packd.domain.lifecycle import Phase
from packd.flow.availability import Availability
from packd.flow.commands import Commands
from packd.flow.install import Installer
from packd.flow.jobs import Progress
from packd.flow.trip import InstallWish
from packd.flow.unknown import no_such_pack
from packd.flow.unread import Unread
from packd.flow.way_back import target_of
from packd.registry import queries
from packd.registry.rows import Drop, Run
from tests.unit.registry_ground import Ground, a_revision, made_ground

Ask = Callable[[Commands, Availability, str], object]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with made_ground("sqlite", tmp_path) as ground:
        ground.add(a_revision("inventory"))
        yield ground


def refusal(ground: Ground, ask: Ask, name: str, *, quiet_s: float | None = 0.5) -> str:
    others = ("pipeline", "runs", "settling", "lanes", "clock")
    parts = {part: Mock() for part in others}
    folder = Mock(
        **{
            "has_drop.side_effect": lambda name: name == "unread",
            "why_ignored.side_effect": {"web.rar": "is an archive of another sort"}.get,
        }
    )
    settling = Mock(**{"is_open.return_value": False, "quiet_s.return_value": quiet_s})
    unread = Unread(registry=ground.registry, folder=folder, settling=settling, space=Mock())
    commands = Commands(
        registry=ground.registry, status=Mock(), unread=unread, has_content=Mock(), is_whole=Mock(), **parts
    )
    with pytest.raises(Failure) as refused:
        ask(commands, Availability(registry=ground.registry, unread=unread, **parts), name)
    assert refused.value.code == Code.NOT_FOUND
    return refused.value.sentence


ASKED: dict[str, Ask] = {
    "why": lambda commands, _, name: commands.explain(name),
    "test": lambda commands, _, name: commands.run_tests(name, runner=None, actor="me", source="cli"),
    "rollback": lambda commands, _, name: commands.rollback(name, to=None, actor="me"),
    "retry": lambda commands, _, name: commands.retry(name, actor="me"),
    "enable": lambda _, availability, name: availability.enable(name, actor="me"),
    "disable": lambda _, availability, name: availability.disable(name, actor="me"),
    "remove": lambda _, availability, name: availability.remove(name, actor="me"),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_the_nearest_name_is_told(ground: Ground, ask: Ask) -> None:
    """Where none is near, where to look."""
    assert "did you mean 'inventory'?" in refusal(ground, ask, "inventry")
    assert "`packd list` shows what there is" in refusal(ground, ask, "zzz")


@pytest.mark.parametrize("ask", [ASKED[name] for name in ASKED if name != "why"], ids=[n for n in ASKED if n != "why"])
def test_a_drop_that_was_not_read_yet_is_told(ground: Ground, ask: Ask) -> None:
    """It lies there, and what it is waited for with is said."""
    assert "'unread' lies in the packs directory and is still being written to" in refusal(ground, ask, "unread")


@pytest.mark.parametrize("ask", [ASKED[name] for name in ASKED if name != "why"], ids=[n for n in ASKED if n != "why"])
def test_what_is_left_alone_is_told(ground: Ground, ask: Ask) -> None:
    """It lies there, and by which rule it is no drop."""
    said = "'web.rar' lies in the packs directory and is an archive of another sort"
    assert refusal(ground, ask, "web.rar") == said


@pytest.mark.parametrize("ask", [ASKED["test"], ASKED["rollback"], ASKED["remove"]], ids=["test", "rollback", "remove"])
def test_a_drop_that_was_read_is_told_from_its_pack(ground: Ground, ask: Ask) -> None:
    """It has another name, and nobody has to wait for it."""
    ground.add(a_revision("core"), drop="unread")
    said = "'unread' lies in the packs directory and is the pack 'core', by which it is named"
    assert refusal(ground, ask, "unread") == said


@pytest.mark.parametrize("ask", [ASKED["test"], ASKED["disable"], ASKED["remove"]], ids=["test", "disable", "remove"])
def test_a_drop_that_was_refused_is_not_about_to_be_read(ground: Ground, ask: Ask) -> None:
    """It was read: where it is said what is wrong with it."""
    refuse(ground, "unread")
    said = "'unread' lies in the packs directory and was refused: see `packd why unread`"
    assert refusal(ground, ask, "unread", quiet_s=None) == said


@pytest.mark.parametrize("ask", [ASKED["disable"], ASKED["remove"]], ids=["disable", "remove"])
def test_a_drop_whose_pack_was_removed_is_not_about_to_be_read(ground: Ground, ask: Ask) -> None:
    """Nothing becomes of it by itself."""
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name="unread", kind="folder", held=True))
    said = "is left alone, as an operator removed its pack: `packd retry unread` takes it again"
    assert refusal(ground, ask, "unread", quiet_s=None).endswith(said)


def test_who_only_reads_the_registry_tells_a_drop_from_its_pack(ground: Ground) -> None:
    """As for `packd history` and `packd tests`: no other drop with a name like that was meant."""
    ground.add(a_revision("core"), drop="My Pack")
    refuse(ground, "My-Pack", ref="other")
    with ground.registry.read() as connection:
        said = "no pack is called 'My Pack'; what lies there is the pack 'core', by which it is named"
        assert no_such_pack(connection, "My Pack").sentence == said
        for name in ("My-Pack", "other"):
            said = f"no pack is called '{name}'; what lies in 'My-Pack' was refused: see `packd why {name}`"
            assert no_such_pack(connection, name).sentence == said


def refuse(ground: Ground, name: str, **changes: str) -> None:
    with ground.registry.write() as tx:
        tx.save_drop(Drop(name=name, kind="folder", problems=({"code": "tree.link_loop"},), **changes))


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_a_revision_is_told_from_its_pack(ground: Ground, ask: Ask) -> None:
    """`inventory#1`, as packd itself writes it, is no pack."""
    assert "that is a revision of 'inventory'" in refusal(ground, ask, "inventory#1")


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_a_run_is_told_from_its_pack(ground: Ground, ask: Ask) -> None:
    """Its id stands in the tables of `packd tests`: the command for it is named."""
    with ground.registry.write() as tx:
        tx.start_run(
            Run(
                id="run_1", ref="inventory", number=1, trigger_reason="install", source="watch", actor="watch",
                started_at=tx.now, finished_at=None, status=None, accepted=None, verdict=None, report=None,
            )
        )  # fmt: skip
    assert "that is a run of 'inventory': `packd tests inventory --run run_1`" in refusal(ground, ask, "run_1")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("inventry", "did you mean 'inventory'?"),
        ("inventory#1", "that is a revision of 'inventory'"),
        ("inventory", "no revision of 'inventory' is in use: `packd install inventory` installs it"),
        ("zzz", "no revision of 'zzz' is in use: `packd install zzz` installs it"),
    ],
)
def test_upgrading_what_is_not_in_use(ground: Ground, name: str, said: str) -> None:
    """The same hints, and where there is none, how to get it."""
    installer = Installer(
        fetcher=MagicMock(), indexes=Mock(), registrar=Mock(), carrying=Mock(), registry=ground.registry
    )
    with pytest.raises(Failure) as refused:
        installer.upgrade([name], InstallWish(source="", actor="me"), Progress())
    assert said in refused.value.sentence


def test_a_revision_that_can_not_be_put_back_is_said_in_words(ground: Ground) -> None:
    """As `packd history` says it, without underscores."""
    ground.add(a_revision("core", 1, Phase.ROLLED_BACK))
    ground.add(a_revision("core", 2, Phase.ACTIVE))
    with ground.registry.read() as connection:
        active = queries.active_revision(connection, "core")
        assert active is not None
        with pytest.raises(Failure, match="core#1 is rolled back and can't be put back"):
            target_of(connection, active, 1)
