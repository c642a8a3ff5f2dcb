"""The HTTP clients under the SDK: which proxy of the environment they use, and none where there must be none.

``http_proxy``, ``all_proxy`` and their kin are set for the network outside. They are never used for a server on this
machine, and not for hosts in ``no_proxy``; there the client is made without looking at them, so that a proxy of a kind
that is not supported does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from kodo.client.errors import EndpointError

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")


def http_client(base_url: str, *, loopback: bool) -> httpx2.Client:
    """The SDK's usual client for a server. Raises EndpointError for a proxy that cannot be used."""
    import httpx2
    import openai

    if _is_direct(base_url, loopback):
        return openai.DefaultHttpxClient(
            transport=httpx2.HTTPTransport(limits=openai.DEFAULT_CONNECTION_LIMITS)
        )
    return _with_proxies(openai.DefaultHttpxClient)


def async_http_client(base_url: str, *, loopback: bool) -> httpx2.AsyncClient:
    """As :func:`http_client` for async code."""
    import httpx2
    import openai

    if _is_direct(base_url, loopback):
        return openai.DefaultAsyncHttpxClient(
            transport=httpx2.AsyncHTTPTransport(limits=openai.DEFAULT_CONNECTION_LIMITS)
        )
    return _with_proxies(openai.DefaultAsyncHttpxClient)


def _is_direct(base_url: str, loopback: bool) -> bool:
    """Whether no proxy is wanted; with a port in ``no_proxy`` too, as ``urllib`` reads it."""
    return loopback or bool(proxy_bypass(urlsplit(base_url).netloc.rpartition("@")[2]))


def _with_proxies(make: Callable[[], T]) -> T:
    import httpx2

    try:
        return make()
    except ImportError as error:  # a SOCKS proxy without its package
        raise EndpointError(
            "the environment names a SOCKS proxy (all_proxy, https_proxy or http_proxy), which needs the package "
            "socksio: pip install socksio, or unset the variable, or put the server's host into no_proxy"
        ) from error
    except (ValueError, httpx2.InvalidURL) as error:  # not an address
        raise EndpointError(f"the environment names a proxy that cannot be used: {error}") from error
