"""Which kind of server this is, and what it says about the model: ``profile = "auto"``.

Hosted services are known by their names. Others are asked for their list of models, which costs them nothing, and what
is in it tells them apart.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from msgspec import Struct

from kodo.server.engines.http_client import ConnectFailed, ConnectionLost, HttpClient
from kodo.server.wire.foreign_json import NotJson, read_json

logger = logging.getLogger(__name__)

MAX_DETECTION_SECONDS: Final = 3.0
MAX_ANSWER_BYTES: Final = 16 * 2**20
_HOSTS: Final = (
    ("api.openai.com", "openai"),
    ("openai.azure.com", "azure"),
    ("services.ai.azure.com", "azure"),
    ("openrouter.ai", "openrouter"),
    ("api.deepseek.com", "deepseek"),
    ("api.mistral.ai", "mistral"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("api.groq.com", "groq"),
    ("api.cerebras.ai", "cerebras"),
)
_OWNERS: Final = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llamacpp", "library": "ollama", "organization_owner": "lmstudio"}  # fmt: skip
_WINDOWS: Final = (
    "max_model_len",
    "context_length",
    "loaded_context_length",
    "max_context_length",
    "context_window",
)


class Identity(Struct, frozen=True, kw_only=True):
    """What a server is. ``window`` in tokens and ``images``: None where it does not say."""

    profile: str = "generic"
    window: int | None = None
    images: bool | None = None
    reached: bool = True
    """Whether the server answered."""


def profile_of_host(host: str) -> str | None:
    """The profile of a hosted service, by the name of its host."""
    return next((name for suffix, name in _HOSTS if host == suffix or host.endswith(f".{suffix}")), None)


async def identify(client: HttpClient, root: HttpClient, model: str) -> Identity:
    """Ask a server what it is.

    Args:
        client: the way to the base URL.
        root: the way to the host's root, where servers have their own routes.
        model: the model's name there.
    """
    try:
        async with asyncio.timeout(MAX_DETECTION_SECONDS):
            return await _identify(client, root, model)
    except (ConnectFailed, ConnectionLost, TimeoutError) as error:
        logger.info("an upstream server could not be asked what it is: %s", type(error).__name__)
        return Identity(reached=False)


async def _identify(client: HttpClient, root: HttpClient, model: str) -> Identity:
    named = profile_of_host(client.host)
    if named is not None and named != "openrouter":
        return Identity(profile=named)  # these tell neither a window nor what a model can see
    answer, server = await ask(client, "/models")
    entry = _entry(answer, model)
    profile = named or _OWNERS.get(str(entry.get("owned_by", "")).lower()) or "generic"
    if "llama.cpp" in server.lower():
        profile = "llamacpp"
    window = next((value for name in _WINDOWS if (value := _count(entry.get(name))) is not None), None)
    images: bool | None = None
    modalities = entry.get("architecture", {}).get("input_modalities") if isinstance(entry.get("architecture"), dict) else None  # fmt: skip
    if isinstance(modalities, list):
        images = "image" in modalities
    if profile == "generic":
        version, _ = await ask(root, "/api/version")
        if set(version) == {"version"}:
            profile = "ollama"
    own_window, own_images = await _ask_own_routes(root, profile, model)
    return Identity(
        profile=profile, window=own_window or window, images=images if own_images is None else own_images
    )


async def _ask_own_routes(root: HttpClient, profile: str, model: str) -> tuple[int | None, bool | None]:
    """The window and the eyes by a route that only this kind of server has."""
    if profile == "llamacpp":
        props, _ = await ask(root, "/props")
        sees = bool(props.get("modalities", {}).get("vision")) if "modalities" in props else None
        return _count(props.get("default_generation_settings", {}).get("n_ctx")), sees
    if profile == "lmstudio":
        listed, _ = await ask(root, "/api/v0/models")
        more = _entry(listed, model)
        window = next((value for name in _WINDOWS if (value := _count(more.get(name))) is not None), None)
        return window, more.get("type") == "vlm" if "type" in more else None
    return (await _loaded_window(root, model) if profile == "ollama" else None), None


async def _loaded_window(root: HttpClient, model: str) -> int | None:
    """The window with which Ollama has loaded a model. It cuts a longer prompt without a word; None: it is not loaded."""
    loaded, _ = await ask(root, "/api/ps")
    found = loaded.get("models")
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, dict) and model in (
            entry.get("name"),
            entry.get("model"),
            f"{entry.get('name')}".removesuffix(":latest"),
        ):
            return _count(entry.get("context_length"))
    return None


async def ask(client: HttpClient, path: str) -> tuple[dict[str, Any], str]:
    """The object that a route answers (empty where it does not), and the ``server`` header.

    Raises:
        ConnectFailed, ConnectionLost: the server cannot be reached.
    """
    exchange = await client.request("GET", path)
    try:
        body = await exchange.read(MAX_ANSWER_BYTES)
        server = exchange.headers.get("server", "")
        if exchange.status != 200:
            return {}, server
    finally:
        exchange.close()
    try:
        value = read_json(body)
    except NotJson:
        return {}, server
    return (value if isinstance(value, dict) else {}), server


def _entry(answer: dict[str, Any], model: str) -> dict[str, Any]:
    """The model in a list of models; the only one, where the name is another."""
    data = answer.get("data")
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    for entry in entries:
        if entry.get("id") == model:
            return entry
    return entries[0] if len(entries) == 1 else {"owned_by": entries[0].get("owned_by")} if entries else {}


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and value >= 64 else None
