"""Requests and answers for the API's page: each of them works as it stands."""

TRACE = {
    "trace_id": "4f28115818e38c9ca783053b39f38095",
    "project": "support",
    "environment": "production",
    "release": "2025-11-04",
    "model": "gpt-4o",
    "started_at": "2025-11-05T09:30:00Z",
    "latency_ms": 2310,
    "session_id": "s-118",
    "input": "Where is my order 8812?",
    "output": "I could not find that order.",
    "steps": [
        {"type": "user", "content": "Where is my order 8812?"},
        {
            "type": "tool_call",
            "name": "find_order",
            "call_id": "c1",
            "arguments": {"order": "8812"},
        },
        {"type": "tool_result", "name": "find_order", "call_id": "c1", "error": "timed out"},
        {"type": "assistant", "content": "I could not find that order."},
    ],
    "signals": [{"name": "task_resolved", "value": 0, "source": "outcome"}],
}

ONE_TRACE = {"summary": "One trace", "value": TRACE}
TRACES = {"summary": "Several traces", "value": {"traces": [TRACE]}}
SMALLEST_TRACE = {
    "summary": "What a trace has at least, to be of use",
    "value": {
        "trace_id": "t-1",
        "project": "support",
        "input": "Where is my order?",
        "output": "I am not allowed to say.",
    },
}

FEEDBACK = {
    "project": "support",
    "trace_id": "4f28115818e38c9ca783053b39f38095",
    "name": "thumbs_up",
    "value": False,
    "comment": "It is on its way, I got the mail.",
}
ONE_FEEDBACK = {"summary": "A thumb down", "value": FEEDBACK}
FEEDBACKS = {"summary": "Several", "value": {"feedback": [FEEDBACK]}}

ACCEPTED = {
    "results": [
        {
            "index": 0,
            "event_id": "9c1c6f5b0d2f4a5f8d2a9d0d7f3f1b77",
            "trace_id": "4f28115818e38c9ca783053b39f38095",
            "status": "accepted",
        },
        {
            "index": 1,
            "status": "rejected",
            "trace_id": "t-2",
            "error": {"code": "invalid", "message": "Object missing required field `project`"},
        },
    ],
    "accepted": 1,
    "rejected": 1,
}

OTLP = {
    "resourceSpans": [
        {
            "resource": {
                "attributes": [{"key": "service.name", "value": {"stringValue": "support"}}]
            },
            "scopeSpans": [
                {
                    "scope": {"name": "my-app"},
                    "spans": [
                        {
                            "traceId": "5b8efff798038103d269b633813fc60c",
                            "spanId": "eee19b7ec3c1b174",
                            "name": "chat gpt-4o",
                            "kind": 3,
                            "startTimeUnixNano": "1762335000000000000",
                            "endTimeUnixNano": "1762335002310000000",
                            "status": {"code": 2, "message": "upstream timed out"},
                            "attributes": [
                                {
                                    "key": "gen_ai.operation.name",
                                    "value": {"stringValue": "chat"},
                                },
                                {
                                    "key": "gen_ai.request.model",
                                    "value": {"stringValue": "gpt-4o"},
                                },
                                {
                                    "key": "gen_ai.input.messages",
                                    "value": {
                                        "stringValue": (
                                            '[{"role":"user","parts":[{"type":"text",'
                                            '"content":"Where is my order 8812?"}]}]'
                                        )
                                    },
                                },
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}
ONE_OTLP = {"summary": "One model call that failed", "value": OTLP}

EVALUATION = {
    "resourceLogs": [
        {
            "resource": {
                "attributes": [{"key": "service.name", "value": {"stringValue": "support"}}]
            },
            "scopeLogs": [
                {
                    "logRecords": [
                        {
                            "eventName": "gen_ai.evaluation.result",
                            "timeUnixNano": "1762335062310000000",
                            "traceId": "5b8efff798038103d269b633813fc60c",
                            "spanId": "eee19b7ec3c1b174",
                            "attributes": [
                                {
                                    "key": "gen_ai.evaluation.name",
                                    "value": {"stringValue": "relevance"},
                                },
                                {
                                    "key": "gen_ai.evaluation.score.value",
                                    "value": {"doubleValue": 0.2},
                                },
                            ],
                        }
                    ]
                }
            ],
        }
    ]
}
ONE_EVALUATION = {"summary": "An evaluator's verdict", "value": EVALUATION}
