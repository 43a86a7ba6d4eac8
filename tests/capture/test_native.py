"""The native formats: each item judged on its own."""

import json
from pathlib import Path
from typing import Any

import pytest

from capture.events import FeedbackReceived, TraceReceived
from capture.ids import sealed
from capture.malformed import Malformed
from capture.native import Refused, decode_captures, decode_feedback, ignored_in_captures

SMALL = {"trace_id": "t", "project": "p"}


def captures(body: Any, **options: Any) -> list[TraceReceived | Refused]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_captures(data, **{"max_bytes": 10_000, **options})


def feedback(body: Any, **options: Any) -> list[FeedbackReceived | Refused]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_feedback(data, **{"max_bytes": 10_000, **options})


def refusal(item: Any) -> Refused:
    [result] = captures(item)
    assert isinstance(result, Refused)
    return result


def taken(items: list[Any]) -> list[Any]:
    assert not [item for item in items if isinstance(item, Refused)]
    return items


def test_every_real_trace_is_taken_as_it_is(sample_data: Path) -> None:
    for name in ("airline", "rag"):
        lines = (sample_data / "traces" / f"{name}.jsonl").read_bytes().splitlines()
        events = taken(captures(b'{"traces":[' + b",".join(lines) + b"]}", max_bytes=1 << 20))
        assert [event.trace_id for event in events] == [json.loads(x)["trace_id"] for x in lines]
        assert all(event.trace.input and event.trace.output for event in events)


def test_one_object_and_a_list_of_one_are_the_same_event() -> None:
    assert captures(SMALL) == captures({"traces": [SMALL]})


def test_a_bad_item_leaves_the_good_ones() -> None:
    results = captures(
        {"traces": [SMALL, 5, {"trace_id": "x"}, {**SMALL, "project": "a b"}, SMALL]}
    )
    assert [type(result) for result in results] == [
        TraceReceived,
        Refused,
        Refused,
        Refused,
        TraceReceived,
    ]
    assert isinstance(results[2], Refused)
    assert results[2].trace_id == "x"
    assert "missing required field `project`" in results[2].message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"project": ""}, "a project name: 1 to 64"),
        ({"project": "a\n"}, "a project name"),
        ({"project": "x" * 65}, "a project name"),
        ({"trace_id": ""}, "1 to 128 characters, and this is empty - at `$.trace_id`"),
        ({"trace_id": "x" * 129}, "1 to 128 characters, and this is longer - at `$.trace_id`"),
        ({"trace_id": "  "}, "is blank"),
        ({"trace_id": "a\u0000b"}, "cannot be printed"),
        ({"trace_id": None}, "$.trace_id"),
        ({"latency_ms": -1}, "$.latency_ms"),
        ({"latency_ms": "12"}, "$.latency_ms"),
        ({"tokens_in": 1.5}, "$.tokens_in"),
        ({"tokens_in": 10**30}, "tokens_in is out of range"),
        ({"cost_usd": -0.1}, "$.cost_usd"),
        ({"started_at": "yesterday"}, "$.started_at"),
        ({"started_at": "0001-01-01T00:00:00+23:59"}, "not a time in UTC"),
        ({"steps": {}}, "$.steps"),
        ({"steps": [{"type": "dance"}]}, "$.steps[0].type"),
        ({"steps": [{}]}, "$.steps[0]"),
        ({"signals": [{"value": 1}]}, "$.signals[0]"),
        ({"signals": [{"name": "n", "value": []}]}, "$.signals[0].value"),
        ({"metadata": []}, "$.metadata"),
        ({"input": 5}, "$.input"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: dict[str, Any], said: str) -> None:
    result = refusal({**SMALL, **change})
    assert said in result.message
    assert result.code == "invalid"


@pytest.mark.parametrize("field", ["input", "output", "metadata"])
def test_a_value_that_nests_too_deeply_is_refused(field: str) -> None:
    deep = b'{"trace_id":"t","project":"p","%s":%s}' % (
        field.encode(),
        b'{"a":' * 70 + b"1" + b"}" * 70,
    )
    assert "deeper than 64" in refusal(deep).message


def test_an_item_over_the_limit_is_refused_with_both_sizes() -> None:
    [result] = captures({**SMALL, "input": "x" * 10_000})
    assert isinstance(result, Refused)
    assert result.code == "too_large"
    assert result.trace_id == "t"
    assert "the limit is 10000" in result.message


def test_invalid_utf_8_refuses_only_its_own_item() -> None:
    bad = b'{"trace_id":"u","project":"p","input":"caf\xe9"}'
    results = captures(b'{"traces":[%s,%s]}' % (bad, json.dumps(SMALL).encode()))
    assert isinstance(results[0], Refused)
    assert "not UTF-8" in results[0].message
    assert "caf" in results[0].message
    assert isinstance(results[1], TraceReceived)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is empty"),
        (b"[]", 'send {"traces": [...]}'),
        (b'{"traces": 5}', "$.traces"),
        (b'{"traces": [', "ends before it is complete"),
        (b'{"a": NaN}', "byte 6"),
        (b"nope", "invalid character (byte"),
        (b'"text"', "expected `object`"),
    ],
)
def test_a_body_that_is_neither_form_is_malformed(body: bytes, said: str) -> None:
    with pytest.raises(Malformed) as refused:
        captures(body)
    assert said in str(refused.value)


def test_unknown_fields_are_ignored_and_the_last_of_duplicate_keys_counts() -> None:
    [event] = captures(b'{"trace_id":"t","project":"p","future":{},"input":"a","input":"b"}')
    assert isinstance(event, TraceReceived)
    assert event.trace.input == "b"


@pytest.mark.parametrize(
    ("body", "ignored"),
    [
        (b'{"trace_id":"t","project":"p","singals":[]}', {0: ["singals"]}),
        (b'{"traces":[{"trace_id":"t"},{"b":1,"project":"p","a":{"input":1}}]}', {1: ["b", "a"]}),
        (b'{"traces":[5,"x",null,[],{}]}', {}),
        (b'{"traces":[{"input":"caf\xe9","x":"\xe9"},{"caf\xe9":1}]}', {0: ["x"]}),
        (b'{"trace":[]}', {0: ["trace"]}),
        (b'{"%s":1}' % (b"x" * 100), {0: ["x" * 64]}),
    ],
)
def test_names_that_mean_nothing_are_found_in_whatever_was_sent(
    body: bytes, ignored: dict[int, list[str]]
) -> None:
    assert ignored_in_captures(body) == ignored


def test_only_so_many_names_are_told() -> None:
    body = json.dumps({f"n{number}": 1 for number in range(1000)}).encode()
    assert ignored_in_captures(body) == {0: [f"n{number}" for number in range(20)]}


def test_times_become_utc_and_one_without_a_zone_is_taken_as_utc() -> None:
    steps = [{"type": "user", "started_at": "2025-01-01T01:00:00+01:00"}, {"type": "user"}]
    [event] = captures({**SMALL, "started_at": "2025-01-01T00:00:00", "steps": steps})
    assert isinstance(event, TraceReceived)
    assert event.trace.started_at is not None
    assert event.trace.started_at.isoformat() == "2025-01-01T00:00:00+00:00"
    assert event.trace.steps[0].started_at == event.trace.started_at


def test_the_same_content_is_the_same_event_in_any_spelling() -> None:
    [one] = taken(captures({**SMALL, "input": "é", "metadata": {"b": 1, "a": 2}}))
    [two] = taken(captures({"metadata": {"a": 2, "b": 1}, "input": "é", **SMALL}))
    [other] = taken(captures({**SMALL, "input": "e"}))
    assert sealed(one)[0] == sealed(two)[0] != sealed(other)[0]


def test_a_key_names_the_event_whatever_it_says_and_only_within_its_project() -> None:
    ids = {
        taken(captures({**SMALL, "input": text, "project": project}, idempotency_key="k"))[
            0
        ].event_id
        for project, text in (("p", "a"), ("p", "b"), ("q", "a"))
    }
    assert len(ids) == 2
    with pytest.raises(Malformed, match="names a single object"):
        captures({"traces": [SMALL]}, idempotency_key="k")


def test_a_trace_and_the_feedback_on_it_may_have_the_same_key() -> None:
    """Both are kept: many senders name everything about a request by the request's id."""
    about = {"project": SMALL["project"], "trace_id": SMALL["trace_id"]}
    [trace] = taken(captures(SMALL, idempotency_key="k"))
    [thumb] = taken(feedback({**about, "name": "n", "value": False}, idempotency_key="k"))
    assert trace.event_id != thumb.event_id


def test_feedback_takes_truth_numbers_and_labels_and_comes_from_the_user() -> None:
    about = {"project": "p", "trace_id": "t", "name": "n"}
    values = [False, 0, 4.5, "down"]
    events = taken(feedback({"feedback": [{**about, "value": value} for value in values]}))
    assert [event.signal.value for event in events] == values
    assert {event.signal.source for event in events} == {"user"}
    assert len({sealed(event)[0] for event in events}) == 4


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({}, "missing required field `name`"),
        ({"project": "p", "trace_id": "t"}, "missing required field `name`"),
        ({"project": "p", "trace_id": "t", "name": "n"}, "needs a `value`"),
        ({"project": "p", "trace_id": "t", "name": "n", "value": {}}, "$.value"),
        ({"project": "/", "trace_id": "t", "name": "n", "value": 1}, "a project name"),
    ],
)
def test_feedback_that_says_nothing_is_refused(item: dict[str, Any], said: str) -> None:
    [result] = feedback(item)
    assert isinstance(result, Refused)
    assert said in result.message


def test_feedback_may_be_only_a_comment() -> None:
    body = {"project": "p", "trace_id": "t", "name": "n", "comment": "slow"}
    [event] = taken(feedback(body))
    assert event.signal.comment == "slow"
