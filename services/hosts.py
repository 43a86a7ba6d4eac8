"""Whether the hosts that the settings name exist: one that nobody knows is a typing error, no outage."""

import asyncio
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from services.settings import Settings, SettingsError
from services.store.engines import host_of

_NOBODY_KNOWS = {socket.EAI_NONAME, socket.EAI_NODATA}
_ASK_SECONDS = 5.0  # a name server that does not answer is an outage, and waited for elsewhere


async def check_hosts(settings: Settings) -> None:
    """Return when at least one host of the stream, and that of the store, may be there.

    Raises:
        SettingsError: the name servers answer that there is no such host, or none can be read; it names
            the setting.
    """
    if not settings.embedded_stream:
        servers = urlsplit(settings.stream_url).netloc.rpartition("@")[2].split(",")
        places = [one.rpartition(":") for one in servers]
        if all(port.isdigit() for _, _, port in places):  # else whoever reads the address says so
            await _check("EVALRATCHET_STREAM", [host for host, _, _ in places])
    if (host := host_of(settings.store_url)) is not None:
        await _check("EVALRATCHET_STORE", [host])


async def _check(setting: str, hosts: Sequence[str]) -> None:
    names = [host.strip("[]") for host in hosts if host]
    if names and not any([await _may_be(name) for name in names]):
        which = (
            f"no host {names[0]}" if len(names) == 1 else f"none of the hosts {', '.join(names)}"
        )
        message = (
            f"{setting}: there is {which}: the name servers do not know it. "
            "Is it spelt as it should be, and are you in the network where it has this name?"
        )
        raise SettingsError(message)


async def _may_be(host: str) -> bool:
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            await asyncio.get_running_loop().getaddrinfo(host, None)
    except socket.gaierror as error:
        return error.errno not in _NOBODY_KNOWS
    except (OSError, UnicodeError):
        return True  # whoever connects says it better
    return True
