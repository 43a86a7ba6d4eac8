"""What is counted of requests, and what a process says that is being stopped."""

from guarded import TRACE, World, otlp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


async def test_requests_are_counted_by_route_and_status_and_no_path_makes_a_new_series(
    world: World,
) -> None:
    client = await world.client()
    await client.post("/v1/captures", json=TRACE)
    await client.post("/v1/captures", content=b"{")
    await client.post("/v1/captures", json={"traces": [TRACE, {}]})
    for number in range(5):
        await client.get(f"/no/such/{number}")
    name = "evalratchet_requests_total"
    assert world.counted(name, route="/v1/captures", status="202") == 2
    assert world.counted(name, route="/v1/captures", status="400") == 1
    assert world.counted(name, route="other", status="404") == 5
    items = "evalratchet_items_total"
    assert world.counted(items, kind="trace", outcome="accepted", reason="") == 2
    assert world.counted(items, kind="trace", outcome="rejected", reason="invalid") == 1
    empty = ExportTraceServiceRequest().SerializeToString()
    headers = {"content-type": "application/x-protobuf"}
    await client.post("/v1/traces", content=empty, headers=headers)
    await client.post("/v1/traces", json=otlp("shop"))
    assert world.counted(items, kind="span", outcome="accepted", reason="") == 1


async def test_a_process_that_is_being_stopped_is_not_ready(world: World) -> None:
    client = await world.client()
    assert (await client.get("/readyz")).status_code == 200
    world.metrics.health.stop()
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
