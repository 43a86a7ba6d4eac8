"""The page that explains the API, and the state of the process."""

import json
import os
import shutil
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright

from services.health import STUCK_SECONDS, Health
from services.http.state import create_state_app
from services.telemetry import Metrics


async def test_the_document_describes_requests_and_answers(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.0.")  # the bundled page reads no newer one
    for path in ("/v1/captures", "/v1/traces", "/v1/feedback"):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]
        assert {"400", "413", "415", "503"} <= operation["responses"].keys()
    assert {"Trace", "Step", "Signal", "Feedback", "Error"} <= document["components"][
        "schemas"
    ].keys()
    assert document["components"]["schemas"]["Trace"]["required"] == ["trace_id", "project"]


async def test_no_parameter_is_described_twice(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path, operations in paths.items():
        for operation in operations.values():
            names = [(one["in"], one["name"]) for one in operation.get("parameters", [])]
            assert len(names) == len(set(names)), path


async def test_every_reference_in_the_document_leads_somewhere(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= document["components"]["schemas"].keys()
    assert '{"type": "null"}' not in text


async def test_patterns_in_the_document_are_javascripts(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    for name in ("Trace", "Feedback"):
        pattern = schemas[name]["properties"]["project"]["pattern"]
        assert pattern == "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


@pytest.mark.parametrize("name", ["Trace", "Step"])
async def test_the_document_says_what_each_field_is_for(
    client: httpx.AsyncClient, name: str
) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    fields = schemas[name]["properties"]
    assert [field for field, said in fields.items() if "description" not in said] == (
        ["type"] if name == "Step" else []
    )
    assert fields["started_at"]["format"] == "date-time"
    assert fields["started_at"]["nullable"] is True


async def test_the_document_promises_of_readiness_only_what_is_so(
    client: httpx.AsyncClient,
) -> None:
    ready = (await client.get("/openapi.json")).json()["paths"]["/readyz"]["get"]
    assert "Retry-After" in ready["description"]
    assert ready["responses"].keys() == {"200", "503"}


async def test_what_needs_no_key_is_drawn_without_a_lock(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    open_ = {path for path, found in paths.items() if found.get("get", {}).get("security") == []}
    assert open_ == {"/healthz", "/readyz"}


async def test_the_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png"):
        assert f'"static/swagger-ui/{asset}"' in page
        assert (await client.get(f"/static/swagger-ui/{asset}")).status_code == 200


async def test_the_root_points_to_the_page(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).json()["docs"] == "/docs"


async def test_a_process_is_healthy_while_its_loops_turn(metrics: Metrics) -> None:
    now = 0.0
    metrics.health = Health(clock=lambda: now)
    transport = httpx.ASGITransport(create_state_app(metrics))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        metrics.stage("grader").touch()
        healthy = await client.get("/healthz")
        assert healthy.status_code == 200
        assert healthy.json()["stages"]["grader"]["state"] == "running"
        metrics.health.halt("scorer", "look at the dead letters")
        now = STUCK_SECONDS + 1
        stuck = await client.get("/healthz")
        assert stuck.status_code == 503
        assert stuck.json()["status"] == "stuck"
        assert (await client.get("/readyz")).status_code == 200
        assert b"evalratchet_last_progress_seconds" in (await client.get("/metrics")).content
        assert (await client.get("/nothing")).json()["error"]["code"] == "not_found"


@pytest.fixture
def chromium() -> str:
    """The browser that `make test-servers` installs: in CI it must be there."""
    path = shutil.which("chromium")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no chromium: make test-servers")
    return path


@pytest.mark.browser
async def test_a_browser_shows_the_operations_and_asks_nobody_else(
    served: Any, chromium: str
) -> None:
    asked: list[str] = []
    errors: list[str] = []
    async with served() as url, async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-quic",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        page = await browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(f"{url}/docs")
        await page.wait_for_selector(".opblock-summary-path", timeout=20_000)
        shown = await page.locator(".opblock-summary-path").all_inner_texts()
        await page.locator("#operations-capture-captures_v1_captures_post").click()
        await page.wait_for_selector(".opblock-section-request-body", timeout=20_000)
        await page.wait_for_load_state("networkidle")
        await browser.close()
    paths = {path.replace("\u200b", "") for path in shown}
    assert {"/v1/captures", "/v1/traces", "/v1/feedback", "/healthz"} <= paths
    elsewhere = [address for address in asked if not address.startswith((url, "data:"))]
    assert elsewhere == []
    assert errors == []
