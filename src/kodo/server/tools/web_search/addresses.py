"""Where a page may be fetched from: the guard against requests into this machine and its networks (SSRF).

A URL that a model names is a stranger's: a page can tell the model to open ``http://169.254.169.254/``. Checked are the
URL (:func:`check_url`), and every address that its host stands for (:class:`AddressPolicy`) at the moment of the
connection, which then goes to that very address: a name that changes its mind between two look-ups gains nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

import httpx2

MAX_URL: Final = 2048
Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_REFUSED: Final[tuple[Network, ...]] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's own services, at a public address
        "169.254.0.0/16",  # link-local; the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # special purposes, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: holds an IPv4 address
        "3fff::/20",
        "5f00::/16",
        "2620:4f:8000::/48",
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""The only part of IPv6 that is public: loopback, mapped IPv4 (``::ffff:0:0/96``), NAT64 (``64:ff9b::/96``), unique-local,
link-local and multicast addresses are all outside."""
_ENDS_IN_NUMBER: Final = re.compile(r"(?:^|\.)(?:\d+|0[xX][0-9a-fA-F]*)\.?$")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class PageRefused(Exception):
    """A page is not fetched. The message is for the model and names no address of this network."""


@dataclass(frozen=True)
class PageUrl:
    """A URL that passed :func:`check_url`. ``host``: in ASCII and small letters; ``target``: path and query."""

    scheme: str
    host: str
    port: int
    target: str
    authority: str
    """Host and port as they stand in a URL."""

    @property
    def text(self) -> str:
        """The whole URL in its normal form, without a fragment."""
        return f"{self.scheme}://{self.authority}{self.target}"


def check_url(url: str, ports: Sequence[int]) -> PageUrl:
    """A URL whose form is allowed: http or https, no user name, an allowed port, a name or a plain address as host.

    Raises:
        PageRefused: it is not.
    """
    if len(url) > MAX_URL or not url.isprintable() or "\\" in url or any(space in url for space in " \u3000"):
        raise PageRefused("This is not a URL.")
    try:
        parsed = httpx2.URL(url)
        host, port = parsed.raw_host.decode("ascii").lower().strip("[]"), parsed.port
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        raise PageRefused("This is not a URL.") from None
    if parsed.scheme not in _DEFAULT_PORTS or not host:
        raise PageRefused("Only http and https URLs can be opened.")
    if parsed.userinfo or "@" in url.partition("://")[2].partition("/")[0]:
        raise PageRefused("URLs with a user name cannot be opened.")
    if port is None:
        port = _DEFAULT_PORTS[parsed.scheme]
    if port not in ports:
        raise PageRefused(f"Pages on port {port} cannot be opened.")
    if "%" in host or (":" not in host and _ENDS_IN_NUMBER.search(host) and not _is_ipv4(host)):
        raise PageRefused("Addresses can only be written in their usual form.")
    target = parsed.raw_path.decode("ascii") or "/"
    place = f"[{host}]" if ":" in host else host
    shown = place if port == _DEFAULT_PORTS[parsed.scheme] else f"{place}:{port}"
    return PageUrl(parsed.scheme, host.rstrip("."), port, target, shown)


def _is_ipv4(host: str) -> bool:
    """Whether a host is four plain decimal numbers: not ``0177.0.0.1``, ``127.1``, ``2130706433`` or ``0x7f000001``."""
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


class AddressPolicy:
    """Which addresses may be connected to: public ones, and those of the networks in the settings."""

    def __init__(self, networks: Sequence[str] = ()) -> None:
        self._allowed = tuple(ip_network(network) for network in networks)

    def check(self, addresses: Sequence[str]) -> list[str]:
        """The addresses of a host, all of them allowed. One that is not refuses the host: it is not a public one.

        Raises:
            PageRefused: one is not, or there is none.
        """
        if not addresses:
            raise PageRefused("The host has no address.")
        for text in addresses:
            try:
                address = ip_address(text)
            except ValueError:
                raise PageRefused("The host is not on the public internet.") from None
            if not self.allows(address):
                raise PageRefused("The host is not on the public internet.")
        return list(addresses)

    def allows(self, address: Address) -> bool:
        """Whether an address may be connected to."""
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return False
        if any(address.version == network.version and address in network for network in self._allowed):
            return True
        if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
            return False
        return not any(address.version == network.version and address in network for network in _REFUSED)
