"""Recognisers loaded once, the corpus of personal data, and short ways to redact."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from capture.events import TraceReceived
from capture.redaction import recognisers as loading
from capture.redaction.placeholder import project_key
from capture.redaction.policy import RedactionPolicy
from capture.redaction.recognisers import Recognisers
from capture.redaction.redactor import Redactor
from capture.redaction.rules import Rules
from capture.trace import Trace

KEY = project_key(b"a secret of sixteen bytes or more", "shop")


@pytest.fixture(scope="session")
def recognisers() -> Recognisers:
    return loading.load()


@pytest.fixture(scope="session")
def corpus() -> list[dict[str, str]]:
    """200 times {"kind", "value", "text"}: what is personal or secret, and a text it stands in."""
    lines = Path(__file__).with_name("corpus.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def rules(recognisers: Recognisers) -> Rules:
    """The default policy's."""
    return Rules(RedactionPolicy(), KEY, lambda: recognisers)


@pytest.fixture(scope="session")
def rules_of(recognisers: Recognisers) -> Callable[..., Rules]:
    """Rules of a policy, given its fields."""
    return lambda **fields: Rules(RedactionPolicy(**fields), KEY, lambda: recognisers)


@pytest.fixture(scope="session")
def redacted(rules: Rules) -> Callable[..., Any]:
    """A value, as the input of a trace, after redaction."""

    def redact(value: Any, rules: Rules = rules) -> Any:
        piece = TraceReceived(event_id="", trace=Trace(trace_id="t", project="shop", input=value))
        return Redactor(rules).redact(piece).trace.input

    return redact
