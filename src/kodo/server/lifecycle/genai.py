"""Names of OpenTelemetry's semantic conventions for generative AI (1.40, in development), in one place: they still change.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/.
"""

from __future__ import annotations

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"
PROVIDER: Final = "gen_ai.provider.name"
KODO: Final = "kodo"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_ID: Final = "gen_ai.response.id"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
ERROR_TYPE: Final = "error.type"

QUEUE: Final = "kodo.queue"
PREFILL: Final = "kodo.prefill"
DECODE: Final = "kodo.decode"
STORE: Final = "kodo.store"
UPSTREAM: Final = "kodo.upstream"
STATUS: Final = "kodo.response.status"
OUTCOME: Final = "kodo.tool.outcome"
OWNER: Final = "kodo.project"
"""Names of kodo's own, where the conventions have none."""
