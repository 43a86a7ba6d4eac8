"""Which hosts are looked for before anything is opened."""

import asyncio
import socket
from typing import Any

import pytest
from pydantic import SecretStr

from services.hosts import check_hosts
from services.settings import Settings, SettingsError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the name servers are asked for; they know nothing but `db`."""
    names: list[str] = []

    async def getaddrinfo(_: object, host: str, *__: object, **___: object) -> list[Any]:
        names.append(host)
        if host != "db":
            raise socket.gaierror(socket.EAI_NONAME, "nobody")
        return []

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return names


def to(place: str) -> Settings:
    return Settings(store=SecretStr(f"postgresql+asyncpg://{place}"))


@pytest.mark.parametrize("password", ["plain", "sl/ash", "ha#sh", "col:on", "ques?tion"])
async def test_what_is_in_a_password_is_no_host(asked: list[str], password: str) -> None:
    """The driver takes these as they are."""
    await check_hosts(to(f"ann:{password}@db:5432/x"))
    assert asked == ["db"]


async def test_an_at_sign_in_a_password_is_said_and_the_password_is_not(asked: list[str]) -> None:
    """The driver would look for the host `ret@db`."""
    with pytest.raises(SettingsError, match=r"EVALRATCHET_STORE.*%40") as refused:
        await check_hosts(to("ann:sec@ret@db/x"))
    assert "ret@" not in str(refused.value)
    assert asked == []


async def test_a_folder_of_sockets_is_no_host(asked: list[str]) -> None:
    await check_hosts(to("/x?host=/run/postgresql"))
    assert asked == []
