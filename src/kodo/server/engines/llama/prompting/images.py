"""Images in a prompt: as ids of their own, so that counting, caching and slots see them, and back as what the engine takes.

The engine knows images only in a prompt of text, with an unguessable mark for each. Until then an image is a row of
negative ids, made from its content: as many as the tokens it takes, the first of them another one than the rest, so that two
images in a row stay two. No token has such an id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from msgspec import Struct

from kodo.server.engines.llama.process.client import ChildClient
from kodo.server.engines.llama.prompting.content import TemplateTurn, TokenIds
from kodo.server.engines.llama.prompting.tokens import TokenCache
from kodo.server.lifecycle.errors import InvalidRequest
from kodo.server.lifecycle.ports import Prompt
from kodo.server.wire.items import InputImage, Message

MAX_IMAGES = 32
"""Images in one prompt."""
_MAX_COUNTS = 1024
"""Images whose size in tokens is remembered."""
_JOINER = "\u2060"
"""A word joiner: it has no width, and no control token has one in it."""


class PromptImages(Struct, frozen=True):
    """The images of a prompt: the ids that stand for each, by item and part, and their bytes by first id."""

    ids: Mapping[tuple[int, int], TokenIds] = {}
    data: Mapping[int, bytes] = {}


class ImageReader:
    """Reads the images of prompts. One for an engine."""

    def __init__(self, client: ChildClient) -> None:
        self._client = client
        self._counts: OrderedDict[str, int] = OrderedDict()

    async def read(self, prompt: Prompt) -> PromptImages:
        """The images of a prompt's messages.

        Raises:
            InvalidRequest: one is no data URL of an image that the engine can read, or there are too many.
        """
        ids: dict[tuple[int, int], TokenIds] = {}
        data: dict[int, bytes] = {}
        for source, context in enumerate(prompt.items):
            if not isinstance(context.item, Message):
                continue
            for number, part in enumerate(context.item.content):
                if not isinstance(part, InputImage):
                    continue
                path = f"input[{source}].content[{number}].image_url"
                if len(ids) == MAX_IMAGES:
                    raise InvalidRequest(f"A prompt has at most {MAX_IMAGES} images.", param=path)
                content = _decode(part, path)
                digest = hashlib.sha256(content).hexdigest()
                first = -2 * int(digest[:12], 16) - 2
                ids[source, number] = (first, *[first + 1] * (await self._count(content, digest, path) - 1))
                data[first] = content
        return PromptImages(ids, data)

    async def _count(self, content: bytes, digest: str, path: str) -> int:
        """Tokens that an image takes, as the engine counts them."""
        if digest not in self._counts:
            try:
                self._counts[digest] = await self._client.image_tokens(content)
            except InvalidRequest as error:
                error.param = path
                raise
            if len(self._counts) > _MAX_COUNTS:
                self._counts.popitem(last=False)
        return self._counts[digest]


async def defuse(turns: Sequence[TemplateTurn], owner: str, tokens: TokenCache) -> list[TemplateTurn]:
    """The turns without texts that the engine would read control tokens from, as it does where images are.

    Raises:
        InvalidRequest: a text cannot be shown without one.
    """
    result = []
    for turn in turns:
        contents = [
            await _defused(content, owner, tokens) if isinstance(content, str) else content
            for content in turn.contents
        ]
        result.append(
            TemplateTurn(
                role=turn.role,
                contents=tuple(contents),
                sources=turn.sources,
                has_calls=turn.has_calls,
                call_id=turn.call_id,
            )
        )
    return result


async def _defused(text: str, owner: str, tokens: TokenCache) -> str:
    if not text or not await tokens.has_control(owner, text):
        return text
    text = text.replace("<", f"<{_JOINER}").replace("[", f"[{_JOINER}")
    if await tokens.has_control(owner, text):
        raise InvalidRequest("A text beside an image holds one of the model's control tokens.", param="input")
    return text


async def media_prompt(client: ChildClient, ids: Sequence[int], data: Mapping[int, bytes]) -> dict[str, Any]:
    """Ids with images as the engine takes them: text with marks, and the images in their order."""
    mark = (await client.props()).media_marker
    lead = await client.leading_tokens()  # the engine puts them in front of every text
    if lead and tuple(ids[: len(lead)]) == lead:
        ids = ids[len(lead) :]
    text: list[str] = []
    images: list[str] = []
    for is_image, group in groupby(ids, key=lambda token: token < 0):
        if not is_image:
            text.append(await client.detokenize(tuple(group)))
            continue
        for token in group:
            if token in data:
                text.append(mark)
                images.append(base64.b64encode(data[token]).decode())
    return {"prompt_string": "".join(text), "multimodal_data": images}


def _decode(part: InputImage, path: str) -> bytes:
    url = part.image_url or ""
    head, comma, content = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise InvalidRequest(
            "An image is a base64 data URL or a file_id; this server fetches nothing from URLs.",
            param=path,
            code="unsupported_content",
        )
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("The image is not base64.", param=path, code="unsupported_content") from None
