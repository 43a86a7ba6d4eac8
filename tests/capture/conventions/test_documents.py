"""The documents that a retrieval found, in every framework's shape."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from capture.conventions.documents import documents_of
from capture.events import Span
from capture.trace import Trace


def test_a_retriever_of_langsmith_is_one_although_its_operation_is_called_embeddings(
    span: Callable[..., Span], told: Callable[..., Trace]
) -> None:
    run = {
        "langsmith.span.kind": "retriever",
        "gen_ai.operation.name": "embeddings",
        "gen_ai.prompt": '{"query": "parcels"}',
        "gen_ai.completion": '{"documents": [{"page_content": "two days", "metadata": {"n": 1}}]}',
    }
    trace = told(span(1, 0, 9), span(2, 1, 8, parent=1, attributes=run))
    (retrieval,) = (step for step in trace.steps if step.type == "retrieval")
    assert retrieval.arguments == {"query": "parcels"}
    assert retrieval.content == [{"content": "two days", "metadata": {"n": 1}}]


@pytest.mark.parametrize(
    "found",
    [
        [{"document": {"content": "two days", "score": 0.9}}],
        {"documents": [{"page_content": "two days", "score": 0.9}]},
        [{"node": {"text": "two days"}, "score": 0.9}],
        {"matches": [{"text": "two days", "score": 0.9}]},
    ],
)
def test_documents_of_every_framework_have_content_and_score(found: Any) -> None:
    assert documents_of(found) == [{"content": "two days", "score": 0.9}]
    assert documents_of(json.dumps(found)) == [{"content": "two days", "score": 0.9}]


def test_what_is_no_document_is_kept_as_it_is() -> None:
    assert documents_of(["two days", {"a": 1}]) == ["two days", {"a": 1}]
    assert documents_of("two days") is None
    assert documents_of({"answer": "two days"}) is None
