"""Other people's clients send the key where it is looked for."""

import asyncio
import uuid

import langsmith
import pytest
from guarded import PUBLIC, World
from langfuse import Langfuse
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from phoenix.client import Client

from services.http.server import serve


@pytest.mark.filterwarnings("default")
async def test_real_clients_send_the_key_where_it_is_looked_for(world: World) -> None:
    """Each with its own setting for a key: OpenTelemetry's exporter, Langfuse, LangSmith, Phoenix."""
    key = await world.key()
    client = await world.client(**PUBLIC)
    app = client._transport.app  # type: ignore[attr-defined]
    stop = asyncio.Event()
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1:0", stop, on_started=started.set_result))
    url = await started
    for send in (_send_otlp, _send_langfuse, _send_langsmith, _send_phoenix):
        before = len(world.publisher.messages)
        await asyncio.to_thread(send, url, key)
        assert len(world.publisher.messages) > before, send.__name__
    stop.set()
    await serving


def _send_otlp(url: str, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"}
    exporter = OTLPSpanExporter(endpoint=f"{url}/v1/traces", headers=headers)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("app").start_span("answer").end()
    provider.shutdown()


def _send_langfuse(url: str, key: str) -> None:
    client = Langfuse(public_key="pk-lf-anything", secret_key=key, base_url=url)
    client.create_score(name="thumbs", value=1, trace_id="a" * 32)
    client.flush()
    client.shutdown()


def _send_langsmith(url: str, key: str) -> None:
    client = langsmith.Client(api_url=url, api_key=key, info={}, auto_batch_tracing=False)
    client.create_feedback(run_id=uuid.uuid4(), key="thumbs", score=1)


def _send_phoenix(url: str, key: str) -> None:
    Client(base_url=url, api_key=key).traces.add_trace_annotation(
        trace_id="a" * 32, annotation_name="thumbs", annotator_kind="HUMAN", score=1
    )
