"""Where a request may go: what was configured is trusted, what the outside world names must be a public address.

A feed's redirect or an article's link is external text. It must not be able to make this machine ask its own network
for something, neither by an address nor by a name that resolves to one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: The addresses of a host (name, port), as written; raises ``OSError`` for a name that has none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class PrivateAddress(Exception):
    """A host that the outside world named lies in a private network."""


def literal(host: str) -> Address | None:
    """The address that ``host`` writes out, also in the old ways (``127.1``, ``0x7f000001``); None for a name."""
    bare = host.strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError):
        return None


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by what is written."""
    address = literal(host)
    return address.is_loopback if address is not None else _is_localhost(host)


def is_inside(host: str) -> bool:
    """Whether the host is written as an address or a name of this machine or of a private network."""
    address = literal(host)
    return _is_private(address) if address is not None else _is_localhost(host)


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of ``host``, in the order in which the machine would try them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


async def public_addresses(host: str, port: int, resolver: Resolve = resolve) -> list[str]:
    """The addresses of ``host``, all of them public; raises ``PrivateAddress`` if one is not, ``OSError`` without any.

    A connection must be opened to what was returned: a name may resolve to something else the next time.
    """
    if is_inside(host):
        raise PrivateAddress(host)
    written = literal(host)
    found = [str(written)] if written is not None else list(await resolver(host, port))
    if not found:
        raise OSError(f"{host} has no address")
    if any(is_inside(address) for address in found):
        raise PrivateAddress(host)
    return found


def _is_localhost(host: str) -> bool:
    name = host.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost")


def _is_private(address: Address) -> bool:
    if not address.is_global or address.is_multicast:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return False
    within = address.sixtofour
    if address in _NAT64:
        within = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return within is not None and _is_private(within)
