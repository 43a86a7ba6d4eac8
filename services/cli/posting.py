"""Posting to capture: in batches, again when it says so, one verdict for each item."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception_type

from services.cli.problem import ExitCode, Problem, misused, note
from services.cli.typed import own_name

_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_SPLIT = frozenset({400, 413})  # too much at once, or one that makes the rest unreadable
_PROJECT_HEADER = "x-evalratchet-project"
_PATIENCE_SECONDS = 120.0  # a broker or a database that restarts is back by then
_LONGEST_WAIT_SECONDS = 30.0
_FIRST_WAIT_SECONDS = 0.2
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)  # capture answers when the batch is durable

Verdict = str | None
"""None when the item was taken, else why it was not."""


class _TryAgain(Exception):
    def __init__(self, why: str, after_seconds: float | None = None) -> None:
        super().__init__(why)
        self.after_seconds = after_seconds


class Capture:
    """The capture endpoint at an address. Use it as a context manager."""

    def __init__(self, url: str, *, project: str | None = None, key: str | None = None) -> None:
        """`url` is the root, without `/v1`; `project` is for OTLP; `key` is an API key.

        Raises:
            Problem: the URL is no address of a server.
        """
        self.url = url.rstrip("/")
        try:
            address = httpx.URL(self.url)
        except httpx.InvalidURL as error:
            misused(f"{url} is no address.", str(error))
        if address.scheme not in {"http", "https"} or not address.host:
            misused(f"{url} is no address of a server.", "For example --url http://127.0.0.1:8321")
        headers = {"content-type": "application/json"}
        if project is not None:
            headers[_PROJECT_HEADER] = project
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self._client = httpx.Client(base_url=address, timeout=_TIMEOUT, headers=headers)
        self.answered = False  # whether anything was posted and answered

    def __enter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._client.close()

    def send_traces(self, bodies: Sequence[bytes]) -> list[Verdict]:
        """Post native traces, each one JSON object; a verdict for each, in order."""
        response = self._post("/v1/captures", b'{"traces":[' + b",".join(bodies) + b"]}")
        if response.status_code in _SPLIT and len(bodies) > 1:
            half = len(bodies) // 2
            return self.send_traces(bodies[:half]) + self.send_traces(bodies[half:])
        return _verdicts(response, len(bodies))

    def send_otlp(self, body: bytes) -> Verdict:
        """Post one OTLP request; why it, or a part of it, was refused."""
        response = self._post("/v1/traces", body)
        answer = _json(response)
        if not response.is_success:
            return _reason(response, answer)
        partial = answer.get("partialSuccess") or {}
        rejected = int(partial.get("rejectedSpans") or 0)
        if rejected:
            return f"{rejected} spans rejected: {partial.get('errorMessage', '')}"
        return None

    def _post(self, path: str, body: bytes) -> httpx.Response:
        retrying = Retrying(
            retry=retry_if_exception_type(_TryAgain),
            wait=_pause,
            stop=self._give_up,
            before_sleep=_say,
            reraise=True,
        )
        try:
            response: httpx.Response = retrying(self._once, path, body)
        except _TryAgain as error:
            raise self._unreachable(str(error)) from error
        self.answered = True
        return response

    def _once(self, path: str, body: bytes) -> httpx.Response:
        try:
            response = self._client.post(path, content=body)
        except httpx.TransportError as error:
            raise _TryAgain(str(error) or type(error).__name__) from error
        if response.status_code in _TRY_AGAIN:
            why = f"HTTP {response.status_code}: {_reason(response, _json(response))}"
            raise _TryAgain(why, _retry_after(response))
        return response

    def _give_up(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        nobody_there = isinstance(error and error.__cause__, httpx.ConnectError)
        if nobody_there and not self.answered:
            return True
        return (state.seconds_since_start or 0) > _PATIENCE_SECONDS

    def _unreachable(self, why: str) -> Problem:
        return Problem(
            f"Capture does not answer at {self.url}.",
            f"{why}\nStart it with `{own_name()} up` (or `{own_name()} serve capture`), or give its "
            "address with --url.\nWhat was sent so far is safe; sending the same files again is "
            "harmless, ids are derived from what is sent.",
            code=ExitCode.UNREACHABLE,
        )


def _pause(state: RetryCallState) -> float:
    """What `Retry-After` says, else twice as long each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_seconds if isinstance(error, _TryAgain) else None
    doubled = _FIRST_WAIT_SECONDS * 2.0 ** (state.attempt_number - 1)
    return min(doubled if asked is None else asked, _LONGEST_WAIT_SECONDS)


def _say(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if state.attempt_number & (state.attempt_number - 1) == 0:  # at 1, 2, 4, 8, ... attempts
        note(f"Waiting for capture, attempt {state.attempt_number}: {error}")


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, from either form of the header; None when there is none, or nothing sensible."""
    text = response.headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.fromtimestamp(time.time(), tz=UTC)).total_seconds())


def _verdicts(response: httpx.Response, count: int) -> list[Verdict]:
    answer = _json(response)
    results = answer.get("results")
    if isinstance(results, list) and len(results) == count:
        return [_verdict(result) for result in results]
    if response.is_success:
        return [
            f"the answer has no verdicts; is it capture that listens at {response.url}?"
        ] * count
    return [_reason(response, answer)] * count


def _verdict(result: Any) -> Verdict:
    return None if result.get("status") == "accepted" else _message(result) or "no reason was given"


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return document if isinstance(document, dict) else {}


def _reason(response: httpx.Response, answer: dict[str, Any]) -> str:
    return _message(answer) or f"HTTP {response.status_code} {response.text[:200]}".strip()


def _message(answer: dict[str, Any]) -> str:
    """What an answer, or a part of one, says to a person; empty when it says nothing."""
    error = answer.get("error") or answer.get("detail") or answer.get("message") or ""
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)
