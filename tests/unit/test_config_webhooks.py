"""Endpoints in the configuration: what each must say, and that no secret of theirs is ever shown."""

from __future__ import annotations

import base64
import json
import traceback
from typing import TYPE_CHECKING

import pytest

from packd.config import BadConfig, Settings, effective, load
from packd.domain.targets import headers_fault, url_fault

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
OTHER = "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="


def loaded(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    file = folder / "packd.yaml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return load(file, {"HOME": "/home/ada"} | (environ or {}), {})


def refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(BadConfig) as failure:
        loaded(folder, text)
    return [str(problem).removeprefix(f"{folder}/packd.yaml:") for problem in failure.value.problems]


def one(**more: object) -> str:
    """A configuration of one endpoint, JSON being YAML."""
    fields = {"name": "chat", "url": "https://hooks.example/in", "secret": SECRET} | more
    return json.dumps({"webhooks": [{key: value for key, value in fields.items() if value is not None}]})


def test_an_endpoint_of_three_lines(tmp_path: Path) -> None:
    """A name, a url and a secret are enough; the rest has defaults."""
    (webhook,) = loaded(tmp_path, one()).webhooks
    assert (webhook.name, webhook.url, webhook.signing_secret()) == ("chat", "https://hooks.example/in", SECRET)
    assert (webhook.types, webhook.packs, webhook.ordering, webhook.timeout_s) == ((), (), "pack", 15)
    assert webhook.allow_private
    assert webhook.headers == {}


def test_a_secret_in_a_file_of_its_own(tmp_path: Path) -> None:
    """`secret_file` starts from the folder of the configuration, and the line end does not count."""
    (tmp_path / "chat.secret").write_text(f"{SECRET}\n")
    (tmp_path / "chat.secret").chmod(0o600)
    settings = loaded(tmp_path, one(secret=None, secret_file="chat.secret"))
    assert settings.webhooks[0].signing_secret() == SECRET
    assert settings.warnings == ()


def test_a_secret_from_systemd(tmp_path: Path) -> None:
    """`secret_credential` names a file in $CREDENTIALS_DIRECTORY; outside a unit it is said what to do."""
    (tmp_path / "ci").write_text(f"{SECRET}\n")
    text = one(secret=None, secret_credential="ci")
    (webhook,) = loaded(tmp_path, text, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).webhooks
    assert webhook.signing_secret() == SECRET
    assert "LoadCredential=" in refused(tmp_path, text)[0]
    assert "secret_credential stands beside a secret" in refused(tmp_path, one(secret_credential="ci"))[0]


def test_certificates_are_read_from_files(tmp_path: Path) -> None:
    """Relative to the configuration; what is no PEM, or only half of a pair, is said with its key."""
    for name in ("ca", "own", "key"):
        (tmp_path / f"{name}.pem").write_text(f"-----BEGIN {name}-----\n")
        (tmp_path / f"{name}.pem").chmod(0o600)
    (tmp_path / "text").write_text("hunter2")
    files = {"ca_file": "ca.pem", "certificate_file": "own.pem", "key_file": "key.pem"}
    (webhook,) = loaded(tmp_path, one(**files)).webhooks
    tls = webhook.certificates()
    assert tls is not None
    assert list(tls) == ["ca", "certificate", "key"]
    assert all(f"BEGIN {name}" in str(text) for name, text in zip(("ca", "own", "key"), tls.values(), strict=True))
    assert loaded(tmp_path, one()).webhooks[0].certificates() is None
    for more, said in (({"ca_file": "none"}, "ca_file"), ({"ca_file": "text"}, "holds no PEM"),
                       ({"certificate_file": "own.pem"}, "give both or neither")):  # fmt: skip
        (problem,) = refused(tmp_path, one(**more))
        assert said in problem
        assert "hunter2" not in problem


def test_a_key_of_the_asymmetric_scheme_is_a_secret_too(tmp_path: Path) -> None:
    """`whsk_` and 32 or 64 bytes."""
    for size in (32, 64):
        assert loaded(tmp_path, one(secret=f"whsk_{base64.b64encode(bytes(size)).decode()}")).webhooks
    assert "32 or 64 bytes" in refused(tmp_path, one(secret=f"whsk_{base64.b64encode(bytes(24)).decode()}"))[0]


def test_the_schedule_of_attempts_can_be_another(tmp_path: Path) -> None:
    """Its length is the number of attempts; so can the jitter, and how long an endpoint may fail."""
    delivery = loaded(tmp_path, "delivery: {schedule_s: [0, 1, 2], jitter: 0, disable_after_days: 0.5}").delivery
    assert (delivery.schedule_s, delivery.jitter, delivery.disable_after_days) == ((0, 1, 2), 0, 0.5)
    assert "schedule_s" in refused(tmp_path, "delivery: {schedule_s: []}")[0]
    assert "jitter" in refused(tmp_path, "delivery: {jitter: 2}")[0]


@pytest.mark.parametrize(("inline", "file_mode", "warned"), [(True, 0o600, 0), (True, 0o644, 1), (False, 0o644, 0)])
def test_a_readable_configuration_is_warned_about_only_for_its_secrets(
    tmp_path: Path, inline: bool, file_mode: int, warned: int
) -> None:
    """A file that everybody can read is unwise when it holds a secret, and fine when it does not."""
    (tmp_path / "chat.secret").write_text(SECRET)
    (tmp_path / "chat.secret").chmod(0o400)
    text = one() if inline else one(secret=None, secret_file="chat.secret")
    (tmp_path / "packd.yaml").write_text(text)
    (tmp_path / "packd.yaml").chmod(file_mode)
    warnings = load(tmp_path / "packd.yaml", {}, {"state_dir": "/s"}).warnings
    assert [problem.severity for problem in warnings] == ["warning"] * warned


def test_a_readable_secret_file_is_warned_about(tmp_path: Path) -> None:
    """Everybody could sign with it, and the warning says the command that helps."""
    (tmp_path / "chat.secret").write_text(SECRET)
    (tmp_path / "chat.secret").chmod(0o644)
    (warning,) = loaded(tmp_path, one(secret=None, secret_file="chat.secret")).warnings
    assert f"`chmod 600 {tmp_path}/chat.secret`" in warning.message


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "Chat Room"}, "webhooks.0.name must be lower-case letters"),
        ({"name": None}, "webhooks.0.name is missing"),
        ({"url": None}, "webhooks.0.url is missing"),
        ({"url": "ftp://x.example"}, "webhooks.0.url must be an http or https address"),
        ({"url": "https://"}, "webhooks.0.url must be an http or https address"),
        ({"url": "https://x:99999/"}, "webhooks.0.url is no address"),
        ({"url": "https://ada:hunter2@x.example/"}, "webhooks.0.url must not hold credentials"),
        ({"url": "https://x.example/\na: b"}, "webhooks.0.url has a space or another character"),
        ({"secret": None}, "webhooks.0 has no secret: put one into a file"),
        ({"secret_file": "x"}, "webhooks.0.secret_file stands beside a secret"),
        ({"secret": None, "secret_file": "none"}, "none can't be read: No such file or directory"),
        ({"secret": "hunter2hunter2"}, "webhooks.0.secret must begin with whsec_"),
        ({"secret": "whsec_hunter2!"}, "webhooks.0.secret must be base64 after whsec_"),
        (
            {"secret": "whsec_aHVudGVyMg=="},
            "webhooks.0.secret must be 24 to 64 bytes in base64 after whsec_; these are 7",
        ),
        ({"secret": 20}, "webhooks.0.secret must be text"),
        ({"secret": None, "secret_credential": "hunter2="}, "webhooks.0.secret_credential must be"),
        ({"secret": None, "secret_file": "whsec_hunter2"}, "webhooks.0.secret_file must be the path of a file"),
        ({"ordering": "packs"}, "webhooks.0.ordering must be pack, strict or none, not 'packs' (did you mean 'pack'?)"),
        ({"timeout_s": 0}, "webhooks.0.timeout_s must be more than 0"),
        ({"timeout_s": 500}, "webhooks.0.timeout_s must be at most 120"),
        ({"types": "pack.*"}, "webhooks.0.types must be a list"),
        (
            {"types": ["pack.*", "pack.registred"]},
            "webhooks.0.types.1 will never come: no event type matches 'pack.registred': did you mean 'pack.registered'?",
        ),
        ({"headers": {"webhook-id": "x"}}, "webhooks.0.headers.webhook-id is a header that packd sets itself"),
        ({"headers": {"a b": "x"}}, "webhooks.0.headers.a b is no header name"),
        ({"headers": {"a": "hunter2\r\nb: c"}}, "webhooks.0.headers.a must be printable ASCII on one line"),
        ({"typs": []}, "there is no setting 'typs' under webhooks.0 (did you mean 'types'?)"),
    ],
)
def test_what_an_endpoint_must_not_say(tmp_path: Path, more: dict[str, object], said: str) -> None:
    """Each mistake has its own words, its place, and no secret in it."""
    (problem,) = refused(tmp_path, one(**more))
    assert said in problem
    assert problem.startswith("1:")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("webhooks: [whsec_hunter2]", "1:12: webhooks.0 must be a mapping of keys to values"),
        ("webhooks: whsec_hunter2", "1:11: webhooks must be a list"),
        ("webhooks: {chat: whsec_hunter2}", "1:11: webhooks must be a list"),
        ("sources: https://ada:hunter2@x.example/i.json", "1:10: sources must be a mapping of keys to values"),
        ("tests: http://ada:hunter2@proxy.example", "1:8: tests must be a mapping of keys to values"),
        ("tests: {proxy: [hunter2]}", "1:16: tests.proxy must be text (in quotes when it looks like something else)"),
    ],
)
def test_a_secret_in_the_place_of_what_holds_it_is_not_repeated(tmp_path: Path, text: str, said: str) -> None:
    """Who forgot its key does not find it in a log."""
    assert refused(tmp_path, text) == [said]


@pytest.mark.parametrize("size", [23, 24, 64, 65])
def test_how_long_a_secret_is(tmp_path: Path, size: int) -> None:
    """24 to 64 bytes, as Standard Webhooks has it."""
    text = one(secret=f"whsec_{base64.b64encode(bytes(size)).decode()}")
    if 24 <= size <= 64:
        assert loaded(tmp_path, text).webhooks
    else:
        assert f"these are {size}" in refused(tmp_path, text)[0]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("https://hooks.example.org/in?team=a%20b", {"Authorization": "Bearer x"}),
        ("http://[::1]:9/x", {"x-a": "a\tb"}),
        ("https://bücher.example/haken", {}),
        ("https://x.example/{team}", {}),
        ("https://x.example:0/", {}),
        ("https://@x.example/", {}),
        ("https://x.example\\@y/", {}),
        ("https://x.example/", {"Expect": "100-continue"}),
        ("https://x.example/", {"x": " leading"}),
        ("https://x.example/", {"x": ""}),
    ],
)
def test_what_is_accepted_here_can_be_sent(tmp_path: Path, url: str, headers: dict[str, str]) -> None:
    """The configuration takes exactly the addresses and headers that the sender takes."""
    sendable = url_fault(url) is None and headers_fault(tuple(headers.items())) is None
    try:
        loaded(tmp_path, one(url=url, headers=headers))
    except BadConfig:
        assert not sendable
    else:
        assert sendable


def test_names_are_unique(tmp_path: Path) -> None:
    """Two endpoints of one name are a problem that says the name, and points at the second of them."""
    endpoint = json.dumps({"name": "chat", "url": "https://x.example", "secret": SECRET})
    text = f"markers: all\nwebhooks:\n  - {endpoint}\n  - {endpoint}\n"
    assert refused(tmp_path, text) == [
        "4:14: webhooks.1.name is 'chat', the name of another webhook: each needs its own"
    ]


def test_a_variable_replaces_the_whole_list(tmp_path: Path) -> None:
    """$PACKD_WEBHOOKS wins over the file's endpoints, none of which is left, and says where it came from."""
    items = [{"name": "other", "url": "https://y.example", "secret": OTHER}]
    settings = loaded(tmp_path, one(types=["pack.*"]), {"PACKD_WEBHOOKS": json.dumps(items)})
    told = {key: (value, origin) for key, value, origin in effective(settings) if key.startswith("webhooks")}
    assert told["webhooks.0.name"] == ("other", "environment PACKD_WEBHOOKS")
    assert told["webhooks.0.types"] == ([], "default")


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """Not by `effective`, not by printing the settings, not in what is raised about something else."""
    text = (
        "database_url: postgresql://ada:hunter2@db.example/packd?password=hunter3\n"
        f"webhooks:\n  - {{name: chat, url: 'https://x.example', secret: {SECRET}, headers: {{Authorization: hunter4}}}}\n"
    )
    settings = loaded(tmp_path, text)
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith("hunter3")
    shown = [str(effective(settings)), str(settings), repr(settings.webhooks), settings.model_dump_json()]
    with pytest.raises(BadConfig) as failure:
        loaded(tmp_path, text + "  - 5\n")
    shown.append("".join(traceback.format_exception(failure.value)))
    for words in shown:
        assert "hunter" not in words
        assert SECRET not in words
    values = {key: value for key, value, _ in effective(settings)}
    assert values["database_url"] == "postgresql://ada:**********@db.example/packd?**********"
    assert values["webhooks.0.secret"] == "**********"
    assert values["webhooks.0.headers"] == {"Authorization": "**********"}


def test_the_query_of_a_url_is_not_shown(tmp_path: Path) -> None:
    """It often holds a token; the URL that is used is whole."""
    settings = loaded(tmp_path, one(url="https://x.example/hook?token=hunter5"))
    values = {key: value for key, value, _ in effective(settings)}
    assert values["webhooks.0.url"] == "https://x.example/hook?**********"
    assert settings.webhooks[0].url.endswith("hunter5")
