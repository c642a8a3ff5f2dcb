"""In which form a server is asked for an answer that nobody reads before its end: in one piece, or as a stream.

One piece is one JSON text instead of an event a token (docs/decisions/whole-answers.md). Some servers have answers of some
models as streams only, and a proxy in front of a server may end a connection that is silent for as long as an answer takes:
such a server is asked for streams from then on.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from kodo.server.engines.upstream.refusal import UpstreamRefusal
from kodo.server.lifecycle.ports import Prompt

logger = logging.getLogger(__name__)

SILENT_SECONDS: Final = 20.0
"""A connection that ends after so long without a byte of the answer is taken to have ended because of that: the shortest
time after which proxies do so is 30 s (HAProxy's example; nginx and the load balancers of clouds have 60)."""
_TIMED_OUT: Final = (408, 504, 524)
"""What a proxy says of a server that is silent for too long; the last is Cloudflare's."""
_NAMES_STREAM: Final = re.compile(r"(?i)\bstream(?:s|ed|ing)?\b")


class AnswerForm:
    """What is known of one server."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._streams_only = False

    def is_whole(self, prompt: Prompt) -> bool:
        """Whether the answer to a prompt is asked for in one piece."""
        return prompt.whole and not self._streams_only

    def learn_refusal(self, refusal: UpstreamRefusal) -> bool:
        """Whether the answer can be had as a stream that was refused in one piece."""
        named = refusal.status in (400, 422) and _NAMES_STREAM.search(refusal.message) is not None
        return (named or refusal.status in _TIMED_OUT) and self._learn(refusal.message or str(refusal.status))

    def learn_silence(self, seconds: float) -> bool:
        """Whether the answer can be had as a stream, after a connection that ended without a byte of it."""
        return seconds >= SILENT_SECONDS and self._learn(f"nothing came for {seconds:.0f} s")

    def _learn(self, why: str) -> bool:
        if self._streams_only:
            return False
        self._streams_only = True
        logger.info("upstream server %s is asked for streams from now on: %s", self._server, why[:200])
        return True
