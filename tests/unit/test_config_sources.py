"""Where packs may come from, as the configuration says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from packd.config import BadConfig, Settings, effective, load


def loaded(tmp_path: Path, sources: dict[str, Any]) -> Settings:
    file = tmp_path / "packd.yaml"
    file.write_text(yaml.safe_dump({"sources": sources}))
    return load(file, {"HOME": "/home/ada"}, {})


def test_indexes_in_every_form(tmp_path: Path) -> None:
    """With all keys, with the address alone, or just the address; a path starts from the file's folder."""
    settings = loaded(
        tmp_path,
        {
            "indexes": [
                {"name": "main", "url": "https://packs.example/index.json", "priority": 1},
                {"url": "https://other.example:8443/x.json"},
                "local/Own-index.json",
            ]
        },
    )
    found = [(index.called(), index.address(), index.priority) for index in settings.sources.indexes]
    assert found == [
        ("main", "https://packs.example/index.json", 1),
        ("other_example", "https://other.example:8443/x.json", 100),
        ("own-index", str(tmp_path / "local" / "Own-index.json"), 100),
    ]


def test_passwords_of_indexes_are_not_shown(tmp_path: Path) -> None:
    """Neither in what is in force nor in what is wrong."""
    settings = loaded(
        tmp_path, {"indexes": ["https://ada:s3cret@packs.example/index.json?token=s3cret", "/srv/i.json"]}
    )
    shown = {key: value for key, value, _ in effective(settings)}
    assert "s3cret" not in str(shown)
    assert shown["sources.indexes.0.url"].startswith("https://ada:")
    assert shown["sources.indexes.1.url"] == "/srv/i.json"


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"indexes": [{"name": "a"}]}, "sources.indexes.0.url is missing"),
        ({"indexes": ["ftp://x/i.json"]}, "must be an https address"),
        ({"indexes": ["https://"]}, "must be an https address"),
        ({"indexes": [{"url": "/a.json"}, {"url": "/b/a.json"}]}, "indexes.1 is called 'a', as is another index"),
        ({"indexes": [{"url": "/a.json", "priorty": 1}]}, "there is no setting 'priorty'"),
        ({"indexes": [{"url": "/a.json", "name": "A b"}]}, "sources.indexes.0.name"),
        ({"timeout_s": 0}, "sources.timeout_s must be more than 0"),
    ],
)
def test_mistakes(tmp_path: Path, sources: dict[str, Any], said: str) -> None:
    """Named with their place."""
    with pytest.raises(BadConfig) as caught:
        loaded(tmp_path, sources)
    assert said in caught.value.sentence


def test_folders_that_are_allowed_start_from_the_file(tmp_path: Path) -> None:
    """URL beginnings stay as they are."""
    settings = loaded(tmp_path, {"allow": ["work", "https://git.example/team"]})
    assert settings.sources.allow == (str(tmp_path / "work"), "https://git.example/team")


@pytest.mark.parametrize(
    ("allowed", "shown"),
    [
        ("https://ada:s3cret@packs.example/team", "https://ada:**********@packs.example/team"),
        ("https://s3cret@packs.example/", "https://**********@packs.example/"),
        ("https://packs.example/?token=s3cret", "https://packs.example/?**********"),
        ("https://ada:s3/cret@packs.example/", "https://**********"),
        ("ssh://git@packs.example/team", "ssh://git@packs.example/team"),
    ],
)
def test_passwords_in_what_is_allowed_are_not_shown(tmp_path: Path, allowed: str, shown: str) -> None:
    """One rule for every URL: no password, no query."""
    values = {key: value for key, value, _ in effective(loaded(tmp_path, {"allow": [allowed]}))}
    assert values["sources.allow"] == [shown]


def test_every_index_is_said_by_the_line_that_says_it(tmp_path: Path) -> None:
    """A list of sections in the file is not a default; what such a section leaves out is."""
    file = tmp_path / "packd.yaml"
    file.write_text("sources:\n  indexes:\n    - name: main\n      url: /srv/i.json\n    - /srv/j.json\n")
    origins = {key: origin for key, _, origin in effective(load(file, {"HOME": "/home/ada"}, {}))}
    assert origins["sources.indexes.0.name"] == f"{file}:3"
    assert origins["sources.indexes.0.url"] == f"{file}:4"
    assert origins["sources.indexes.0.priority"] == "default"
    assert origins["sources.indexes.1.url"] == f"{file}:5"
