"""Whatever a pack says, the event about it can be told and fits."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packd.domain import events
from packd.domain.clipping import clip, clip_to_end
from packd.domain.moments import rfc3339
from packd.notify.envelope import body, webhook_body

# Long texts of what swells most in JSON, and anything at all, lone surrogates included.
swelling = st.builds(
    lambda unit, times: unit * times,
    st.sampled_from(["\x1b", '"', "\\", "é", "\U0001f4a9", "\udce9", "a"]),
    st.integers(0, 6000),
)
texts = st.text(st.characters(codec=None), max_size=50) | swelling
numbers = st.none() | st.integers()
revisions = st.builds(
    events.RevisionInfo,
    version=st.none() | texts,
    revision=numbers,
    digest=st.sampled_from([None, "sha256:" + "0" * 64]),
)
packs = st.builds(
    events.PackInfo,
    ref=texts,
    version=st.none() | texts,
    revision=numbers,
    path=st.none() | texts,
    digest=st.just("sha256:" + "0" * 64),
    previous=st.none() | revisions,
)
problems = st.builds(
    events.ProblemInfo, code=texts, file=st.none() | texts, line=numbers, column=numbers, message=texts
)
failures = st.builds(events.FailureInfo, suite=texts, case=texts, message=st.none() | texts)
counts = st.builds(
    events.Counts, total=st.integers(), passed=st.integers(), failed=st.integers(), skipped=st.integers()
)
needs = st.builds(events.NeedInfo, ref=texts, version=texts)
floats = st.floats(allow_nan=True, allow_infinity=True)
said = st.one_of(
    st.builds(
        events.PackValidationFailed, pack=packs, problems=st.lists(problems, max_size=2).map(lambda found: found * 15)
    ),
    st.builds(events.PackWaiting, pack=packs, missing=st.lists(needs, max_size=2).map(lambda found: found * 40)),
    st.builds(
        events.PackTestStarted,
        pack=packs,
        run_id=texts,
        suites=st.lists(texts, max_size=2).map(lambda found: found * 40),
    ),
    st.builds(
        events.PackTestFailed,
        pack=packs,
        run_id=texts,
        duration_ms=floats,
        tests=counts,
        pass_rate=floats,
        reason=st.just("crash"),
        failures=st.lists(failures, max_size=2).map(lambda found: found * 15),
        output_tail=texts,
    ),
    st.builds(
        events.PackRegistered,
        pack=packs,
        duration_ms=floats,
        components=st.dictionaries(texts, st.integers(), max_size=3),
        tests_skipped=st.booleans(),
        forced=st.booleans(),
    ),
    st.builds(
        events.WebhookDeliveryFailing,
        endpoint=texts,
        event_id=st.none() | texts,
        attempts=st.integers(),
        last_error=st.none() | texts,
    ),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(said, texts)
def test_an_event_is_told_whatever_a_pack_says_and_fits_into_20_kib(data, source):
    """Valid UTF-8, valid JSON, at most 20 KiB with everything around it, and it reads back as what it was."""
    text = events.envelope_json(
        data,
        id="evt_01K9Z6T1M0VJ5R8Q4X2C7B3N6D",
        seq=2**53,
        timestamp=rfc3339(1e9),
        source=source,
        subject=data.subject,
        correlation_id=source,
        causation_id=source,
    )
    sent = body(text, 2**53)
    assert len(sent) <= events.BODY_LIMIT
    assert json.loads(sent)["endpoint_seq"] == 2**53
    assert events.parse(sent).model_dump_json() == text
    assert len(webhook_body(text, 2**31 - 1, "cloudevents")) <= events.BODY_LIMIT


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(3, 5000))
def test_a_cut_text_fits_keeps_its_end_and_wastes_little(text, limit):
    """At most the limit as JSON; what fits is not touched; what is cut is nearly as long as allowed."""
    for cut, kept in ((clip, str.startswith), (clip_to_end, str.endswith)):
        short = cut(text, limit)
        size = len(json.dumps(short, ensure_ascii=False).encode()) - 2
        assert size <= limit
        if "…" in short and "…" not in text:
            assert size > limit - 6
            assert kept(text.encode("utf-8", "backslashreplace").decode(), short.strip("…"))


@settings(max_examples=150, deadline=None)
@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4), st.sampled_from(list(events.EVENT_TYPES)), texts)
def test_any_glob_gets_an_answer(types, packs, event_type, name):
    """No pattern is an error, and `pack.test_started` is never caught by one."""
    wanted = events.subscribes(types, packs, event_type, f"packs/{name}")
    assert isinstance(wanted, bool)
    assert not (wanted and event_type == "pack.test_started" and event_type not in types)
    events.unknown_types(types)
