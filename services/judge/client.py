"""A client of chat completions, as OpenAI's API and everything compatible with it speaks them."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

log = structlog.get_logger()

_PATH = "/chat/completions"
_ATTEMPTS = 4  # of one question: with the pauses between, a hiccup of some ten seconds is bridged
_LONGEST_PAUSE_SECONDS = 20.0  # a server that asks for a longer one is as good as down
_QUEUE_SECONDS = 120.0  # with the attempts after it, less than a loop may stand still
_REST_SECONDS = 30.0  # how long nobody asks a model that was found to be down
_LONGEST_REST_SECONDS = 600.0
_LARGEST_ANSWER = 1 << 20  # bytes; a verdict has a few hundred
_SHOWN_CHARACTERS = 300
_BUSY = frozenset({408, 409, 425, 429})
_SERVER_ERROR = 500
_CLIENT_ERROR = 400
_OPTIONAL = ("response_format", "temperature")  # parameters that some models refuse


class ModelUnavailable(Exception):
    """The model did not answer: it may later. `rest_seconds` is when it is worth asking again."""

    def __init__(self, message: str, rest_seconds: float = _REST_SECONDS) -> None:
        """Take why, and for how long."""
        super().__init__(message)
        self.rest_seconds = min(rest_seconds, _LONGEST_REST_SECONDS)


class ModelRefused(Exception):
    """The model, or its server, will not answer this question; asking again does not help."""


class _TryAgain(Exception):
    """One attempt failed. `after_seconds` is what the server asked for, if it did."""

    def __init__(self, message: str, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class ModelClient:
    """Asks one server, a bounded number of questions at a time.

    After a question that stayed without an answer, nobody asks for a while: a thousand traces must
    not each wait for a model that is down.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str,
        api_key: str | None,
        timeout_seconds: float,
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`url` is the API's base, e.g. `https://api.openai.com/v1`; `clock` gives seconds."""
        self.model = model
        self._url = url if url.rstrip("/").endswith(_PATH) else url.rstrip("/") + _PATH
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout_seconds = timeout_seconds
        self._places = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._clock = clock
        self._http: httpx.AsyncClient | None = None
        self._refused: set[str] = set()  # parameters that this server does not take
        self._resting_until = 0.0
        self._why = ""

    async def ask(self, messages: Sequence[Mapping[str, str]], *, model: str | None = None) -> str:
        """The text of the model's answer. Raises `ModelUnavailable`, `ModelRefused`."""
        await self._take_place()
        try:
            left = self._resting_until - self._clock()
            if left > 0:
                message = f"the judge is not asked for another {left:.0f} s: {self._why}"
                raise ModelUnavailable(message, left)
            try:
                return await self._patiently(messages, model or self.model)
            except ModelUnavailable as error:
                self._resting_until = self._clock() + error.rest_seconds
                self._why = str(error)
                log.warning("judge_unavailable", why=str(error), rest_seconds=error.rest_seconds)
                raise
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _take_place(self) -> None:
        """Wait for a place. Raises `ModelUnavailable` where that takes too long."""
        try:
            await asyncio.wait_for(self._places.acquire(), _QUEUE_SECONDS)
        except TimeoutError as error:
            message = f"the judge is too slow: this question waited {_QUEUE_SECONDS:g} s for those before it"
            raise ModelUnavailable(message) from error

    async def _patiently(self, messages: Sequence[Mapping[str, str]], model: str) -> str:
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_TryAgain),
            stop=_give_up,
            wait=_pause,
            reraise=True,
        )

        async def attempt() -> str:
            return await self._attempt(messages, model)

        try:
            return await retrying(attempt)
        except _TryAgain as error:
            rest = max(error.after_seconds or 0.0, _REST_SECONDS)
            raise ModelUnavailable(str(error), rest) from error

    async def _attempt(self, messages: Sequence[Mapping[str, str]], model: str) -> str:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, headers, body = await self._post(self._question(messages, model))
        except TimeoutError as error:
            message = f"the judge did not answer within {self._timeout_seconds:g} s"
            raise _TryAgain(message) from error
        except httpx.HTTPError as error:
            message = f"the judge cannot be reached: {type(error).__name__}: {error}"
            raise _TryAgain(message) from error
        except (httpx.InvalidURL, ValueError) as error:
            message = f"the judge's address cannot be used: {error}"
            raise ModelRefused(message) from error
        if status in _BUSY or status >= _SERVER_ERROR:
            after = _retry_after(headers)
            message = f"the judge answered {status}: {_excerpt(body)}"
            raise _TryAgain(message, after)
        if status >= _CLIENT_ERROR:
            if self._learnt_to_leave_out(body):
                return await self._attempt(messages, model)
            message = f"the judge refused with {status}: {_excerpt(body)}"
            raise ModelRefused(message)
        return _text_of(body)

    def _question(self, messages: Sequence[Mapping[str, str]], model: str) -> dict[str, Any]:
        optional = {"response_format": {"type": "json_object"}, "temperature": 0}
        kept = {name: value for name, value in optional.items() if name not in self._refused}
        return {"model": model, "messages": list(messages), **kept}

    def _learnt_to_leave_out(self, body: bytes) -> bool:
        """Whether the refusal names a parameter that can be left out, and was not yet."""
        said = body[:4000].decode(errors="replace")
        named = [name for name in _OPTIONAL if name in said and name not in self._refused]
        self._refused.update(named)
        return bool(named)

    async def _post(self, question: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        if self._http is None:
            limits = httpx.Limits(max_connections=self._concurrency)
            # asyncio.timeout bounds the whole answer; httpx's own bounds would only bound its parts
            self._http = httpx.AsyncClient(limits=limits, timeout=None)  # noqa: S113 - as said
        content = msgspec.json.encode(question)
        headers = {"Content-Type": "application/json", **self._headers}
        async with self._http.stream(
            "POST", self._url, content=content, headers=headers
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    message = f"the judge's answer is larger than {_LARGEST_ANSWER} bytes"
                    raise ModelRefused(message)
            return response.status_code, response.headers, bytes(body)


def _give_up(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    asked = error.after_seconds if isinstance(error, _TryAgain) else None
    return stop_after_attempt(_ATTEMPTS)(state) or (asked or 0.0) > _LONGEST_PAUSE_SECONDS


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _TryAgain) and error.after_seconds is not None:
        return error.after_seconds
    return wait_exponential_jitter(multiplier=0.5, max=8, jitter=0.5)(state)


def _retry_after(headers: httpx.Headers) -> float | None:
    """What `Retry-After` asks for, in seconds: a number, or a date."""
    said = headers.get("retry-after", "").strip()
    if not said:
        return None
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(said)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]


def _text_of(body: bytes) -> str:
    try:
        choices = msgspec.json.decode(body, type=_Completion).choices
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"the judge's server did not answer as chat completions do: {error}"
        raise ModelRefused(message) from error
    if not choices:
        message = "the judge's server answered without a choice"
        raise ModelRefused(message)
    first = choices[0]
    if first.message.refusal:
        message = f"the judge refused to judge: {first.message.refusal[:_SHOWN_CHARACTERS]}"
        raise ModelRefused(message)
    if not first.message.content:
        message = f"the judge gave no text (finish reason {first.finish_reason!r})"
        raise ModelRefused(message)
    return first.message.content


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").split())
    return text[:_SHOWN_CHARACTERS] or "no body"
