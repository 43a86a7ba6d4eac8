"""Where clients put an API key, and whether one is needed at all."""

import base64
import binascii
import ipaddress
import socket
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

Auth = Literal[
    "auto",  # keys are needed when it listens on an address that other machines reach
    "required",  # always
    "off",  # never: something else guards the port
]


def presented(headers: Mapping[bytes, bytes]) -> str | None:
    """The key that came with a request, in any of the ways that clients send one; None without.

    `Authorization: Bearer KEY`; `Authorization: Basic` with the key as password, as Langfuse's
    clients send it, or as user with an empty password, as curl's `-u KEY:` does; `x-api-key: KEY`
    (LangSmith); `api_key: KEY` (Phoenix).
    """
    authorization = headers.get(b"authorization")
    if authorization is not None:
        scheme, _, rest = authorization.partition(b" ")
        kind = scheme.lower()
        if kind == b"bearer":
            return rest.strip().decode("latin-1")
        if kind == b"basic":
            return _of_basic(rest.strip())
    for name in (b"x-api-key", b"api_key", b"api-key"):
        if name in headers:
            return headers[name].strip().decode("latin-1")
    return None if authorization is None else ""


def needed(auth: Auth, listen: str) -> bool:
    """Whether requests need a key: by setting, or by the address, HOST:PORT, that is listened on."""
    return auth == "required" or (auth == "auto" and not is_loopback(listen))


def is_loopback(listen: str) -> bool:
    """Whether only this machine reaches the address. A name that cannot be resolved is not one."""
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(_loopback(str(address[0])) for *_, address in found)


def from_this_machine(origin: bytes) -> bool:
    """Whether a browser's `Origin` is a page that this machine serves."""
    try:
        host = urlsplit(origin.decode("latin-1")).hostname or ""
    except ValueError:
        return False
    return host == "localhost" or host.endswith(".localhost") or _loopback(host)


def _of_basic(encoded: bytes) -> str:
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return password or user


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
