"""Where a webhook may lead: which URLs are taken, and to which addresses a connection is made.

A URL is `https://host[:port][/path][?query]` without a login, or `http://` to what the operator allows. The host is a
name, or an address in its one usual spelling. A name is looked up by us, every address that it has is judged, and the
connection is made to an address that was judged, never to the name: what the name leads to a moment later does not
count. An address is fit if it is one of the public Internet, and so is every address inside it (IPv4 in IPv6). What the
setting `webhook_allow` names, hosts or networks, is allowed whatever it is.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from claudebench.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Address = IPv4Address | IPv6Address
    Network = IPv4Network | IPv6Network
    LookUp = Callable[[str], Awaitable[list[str]]]

PORTS = {"https": 443, "http": 80}
ALLOW_MAX, ADDRESSES_MAX, LOOKUPS_MAX, LOOKUP_WITHIN_S = 256, 32, 32, 5.0
LOW_PORTS = 1024
_TEXT = re.compile(r"[!-~]+\Z")
_FORBIDDEN = frozenset('\\"<>^`{|}')
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_NUMBER = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)\Z")
_PLACE = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[^:\[\]]{1,254}))(?::(?P<port>\d{1,5}))?\Z")

UNFIT: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), meaning)
    for network, meaning in (
        ("0.0.0.0/8", "an address of this machine"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address behind a provider"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "a cloud's metadata"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "an address for documentation"),
        ("192.88.99.0/24", "a relay's address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for measurements"),
        ("198.51.100.0/24", "an address for documentation"),
        ("203.0.113.0/24", "an address for documentation"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an address of this machine"),
        ("::1/128", "a loopback address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "an address for documentation"),
        ("3fff::/20", "an address for documentation"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
PUBLIC_V6, NAT64 = IPv6Network("2000::/3"), IPv6Network("64:ff9b::/96")
ISATAP = 0x5EFE


class Refused(Exception):
    """A URL, or an address that it leads to, is not one that a webhook may have."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart; `path` holds the query too."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_tls(self) -> bool:
        """Whether it is spoken to over TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The URL without path and query, which may hold secrets."""
        return f"{self.scheme}://{self.authority}"


def target_of(url: str) -> Target:
    """Take a URL apart.

    Raises:
        Refused: it is none that a webhook may have; the message shows nothing of it but its host.
    """
    if not _TEXT.match(url) or _FORBIDDEN & set(url):
        raise Refused(
            "a URL is plain ASCII without blanks and quotes; write what is not as %-codes, a host as punycode"
        )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Refused("this is no URL; write it like https://hooks.example.com/path") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS or not parts.netloc:
        raise Refused("a webhook's URL begins with https://, or http:// to what webhook_allow names")
    if "@" in parts.netloc:
        raise Refused("a webhook's URL holds no login; a receiver knows us by the signature")
    if "#" in url:
        raise Refused("a webhook's URL has no #fragment")
    host, port = _place(parts.netloc.lower())
    return Target(scheme, host, port or PORTS[scheme], (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _place(text: str) -> tuple[str, int]:
    """Return host and port, 0 for none given."""
    found = _PLACE.match(text)
    if not found or (found["port"] and not 0 < int(found["port"]) < 65_536):  # noqa: PLR2004 - ports
        raise Refused("host and port cannot be read; write them like hooks.example.com:8443 or [2600::1]:8443")
    port = int(found["port"] or 0)
    if found["v6"]:
        with suppress(ValueError):
            return str(IPv6Address(found["v6"])), port
        raise Refused(f"[{found['v6']}] is no IPv6 address")
    return _host(found["name"]), port


def _host(text: str) -> str:
    """Return a host as it is compared; what a resolver would take for a number is an address in its usual spelling."""
    host = text.removesuffix(".")
    if _NUMBER.match(host):
        with suppress(ValueError):
            return str(IPv4Address(host))
        raise Refused(f"{host} is no address; write it like 93.184.215.14")
    if not _NAME.match(host):
        raise Refused(f"{host[:80]!r} is no host name")
    return host


# -- what is fit


def unfit(address: Address) -> str:
    """Return what keeps an address from being reached, '' for one of the public Internet."""
    if isinstance(address, IPv6Address):
        if (inner := _inside(address)) is not None:
            return unfit(inner)
        if address not in PUBLIC_V6:
            return _meaning(address) or "a reserved address"
        if int(address) >> 32 & 0xFDFFFFFF == ISATAP:
            return _meaning(address) or unfit(IPv4Address(int(address) & 0xFFFFFFFF))
    return _meaning(address)


def _meaning(address: Address) -> str:
    return next((meaning for network, meaning in UNFIT if address in network), "")


def _inside(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address is another spelling of: mapped, NAT64, 6to4."""
    if inner := address.ipv4_mapped or address.sixtofour:
        return inner
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in NAT64 else None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator allows besides the public Internet: hosts by their names, addresses by their networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, text: str) -> Allowed:
        """Read the setting: `127.0.0.1,10.0.0.0/8,hooks.corp.example`.

        Raises:
            SettingsError: something in it is neither host nor network.
        """
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        if len(words) > ALLOW_MAX:
            raise SettingsError(f"webhook_allow names {len(words)} hosts and networks; at most {ALLOW_MAX}")
        hosts: set[str] = set()
        networks: list[Network] = []
        for word in words:
            try:
                networks.append(ip_network(word.strip("[]"), strict=False))
            except ValueError:
                hosts.add(_allowed_host(word))
        return cls(frozenset(hosts), tuple(networks))

    def has(self, host: str, address: Address) -> bool:
        """Tell whether an address that a host has is allowed."""
        inner = _inside(address) if isinstance(address, IPv6Address) else None
        return host in self.hosts or any(address in each or (inner and inner in each) for each in self.networks)


def _allowed_host(word: str) -> str:
    try:
        return _host(word)
    except Refused:
        raise SettingsError(
            f"webhook_allow cannot hold {word[:80]!r}; it lists hosts and networks, such as 127.0.0.1, 10.0.0.0/8 or "
            "hooks.corp.example"
        ) from None


def judge(target: Target, address: Address, allowed: Allowed) -> None:
    """Let a connection to an address be made, or not.

    Raises:
        Refused: it may not be; the message says why and which setting allows it.
    """
    if allowed.has(target.host, address):
        return
    shown = target.host if target.host == str(address) else f"{target.host} ({address})"
    if why := unfit(address):
        raise Refused(f"{shown} is {why}; if it is to be reached, start the server with --webhook-allow {address}")
    if not target.is_tls:
        raise Refused(f"{shown} is to be reached over https; plain http only goes to what --webhook-allow names")
    if target.port < LOW_PORTS and target.port not in PORTS.values():
        raise Refused(f"port {target.port} is no port of the web; 443, and those from {LOW_PORTS} on, are")


# -- from a name to addresses


@dataclass(slots=True)
class Resolver:
    """Looks names up, each in a thread of its own: one lookup of a name at a time, 32 in all, 5 s for each.

    A lookup that hangs keeps its thread, which ends with it and holds up no server that ends.
    """

    running: dict[str, asyncio.Future[list[str]]] = field(default_factory=dict)

    async def __call__(self, host: str) -> list[str]:
        """Return the addresses of a name.

        Raises:
            Refused: it has none, or no answer came in time.
        """
        asked = self.running.get(host)
        if asked is None:
            if len(self.running) >= LOOKUPS_MAX:
                raise Refused(f"{host} was not looked up: {LOOKUPS_MAX} other lookups hang")
            asked = self.running[host] = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._run, args=(host, asked), name=f"look up {host}", daemon=True).start()
        done, _ = await asyncio.wait((asked,), timeout=LOOKUP_WITHIN_S)
        if not done:
            raise Refused(f"{host} was not looked up within {LOOKUP_WITHIN_S:g} s")
        if not (found := asked.result()):
            raise Refused(f"{host} has no address")
        return found

    def _run(self, host: str, asked: asyncio.Future[list[str]]) -> None:
        found = list[str]()
        with suppress(OSError, UnicodeError):
            rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(row[4][0]) for row in rows))
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            asked.get_loop().call_soon_threadsafe(self._done, host, asked, found)

    def _done(self, host: str, asked: asyncio.Future[list[str]], found: list[str]) -> None:
        del self.running[host]
        asked.set_result(found)


async def addresses_of(target: Target, allowed: Allowed, look_up: LookUp) -> list[str]:
    """Return the addresses to which a connection to a target may be made.

    Raises:
        Refused: the host has none, or one that may not be reached: then none of them is.
    """
    try:
        literal = [str(ip_address(target.host))]
    except ValueError:
        literal = []
    found = literal or await look_up(target.host)
    for each in found[:ADDRESSES_MAX]:
        judge(target, _read(target, each), allowed)
    return found[:ADDRESSES_MAX]


def _read(target: Target, text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise Refused(f"{target.host} has an address that cannot be read") from None
