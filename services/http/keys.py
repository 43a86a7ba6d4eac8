"""`/v1/keys`: making, listing and revoking API keys, for whoever holds one of scope `admin`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.errors import Unavailable
from services.http import describe_keys as describe
from services.http.body import read_body
from services.http.problem import Problem, json_response, unavailable
from services.http.sender import Sender, sender_of
from services.key_ring import KeyRing
from services.keys import MARK, KeyRecord, NewKey, drawn, shown

_MOST_BYTES = 64 << 10  # of a request about a key


class KeyStore(Protocol):
    """What managing keys needs of the store. Everything raises `Unavailable`."""

    async def add(self, record: KeyRecord) -> None:
        """Keep a new key."""

    async def revoke(self, key_id: str, at: datetime) -> KeyRecord | None:
        """Revoke a key for good; None when there is no such key."""

    async def every(self, project: str | None = None) -> Sequence[KeyRecord]:
        """Every key, oldest first; of one project when it is named."""


_decoder = msgspec.json.Decoder(NewKey)


def key_routes(
    store: KeyStore, ring: KeyRing, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> APIRouter:
    """Routes that manage keys. `ring` learns at once of what they do."""
    router = APIRouter(tags=["keys"])

    @router.post("/v1/keys", **describe.CREATE)
    async def create(request: Request) -> Response:
        wanted = _wanted(await read_body(request, max_bytes=_MOST_BYTES), sender_of(request), clock)
        record, key = drawn(
            project=wanted.project,
            name=wanted.name,
            scopes=wanted.scopes,
            now=clock(),
            expires_at=wanted.expires_at,
        )
        try:
            await store.add(record)
            await ring.refresh()
        except Unavailable as error:
            raise unavailable(error) from error
        return json_response(shown(record, key), 201, {"cache-control": "no-store"})

    @router.get("/v1/keys", **describe.LIST)
    async def every(request: Request) -> Response:
        try:
            records = await store.every(sender_of(request).project)
        except Unavailable as error:
            raise unavailable(error) from error
        return json_response({"keys": [shown(record) for record in records]})

    @router.delete("/v1/keys/{key_id}", **describe.REVOKE)
    async def revoke(request: Request, key_id: str) -> Response:
        key_id = key_id.removeprefix(MARK)
        sender = sender_of(request)
        try:
            known = {record.key_id for record in await store.every(sender.project)}
            record = await store.revoke(key_id, clock()) if key_id in known else None
            await ring.refresh()
        except Unavailable as error:
            raise unavailable(error) from error
        if record is None:
            message = f"There is no key with the id {key_id[:80]!r}; GET /v1/keys lists them"
            raise Problem(404, "not_found", message)
        return json_response(shown(record))

    return router


def _wanted(body: bytes, sender: Sender, clock: Callable[[], datetime]) -> NewKey:
    """What was asked for. Raises `Problem`."""
    try:
        wanted = _decoder.decode(body)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Problem(422, "invalid", f"That is no key to make: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "malformed", f"The body is not the JSON of a key: {error}") from error
    if wanted.expires_at is not None and wanted.expires_at <= clock():
        raise Problem(422, "invalid", "expires_at is over already: name a moment to come")
    if not sender.may_name(wanted.project or ""):
        if wanted.project is not None:
            message = (
                f"The API key is for the project {sender.project!r} and makes keys for it alone"
            )
            raise Problem(403, "forbidden", message)
        wanted.project = sender.project  # a project's administrator cannot make a key for all
    return wanted
