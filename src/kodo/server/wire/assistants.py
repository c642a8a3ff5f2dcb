"""``/v1/assistants`` and ``/v1/threads`` as openai-python 3.54 has them (``client.beta``), version 2 of that API.

What only the hosted service could run (``code_interpreter``, ``file_search`` and the resources and attachments that
serve them) has no type here: it is refused by name, in :mod:`kodo.server.http.assistants.request_translation`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from kodo.server.wire.items import CallId, Name, Text, Wire
from kodo.server.wire.request import Metadata
from kodo.server.wire.tools import JsonObjectFormat, TextFormat

RunStatus: TypeAlias = Literal[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "incomplete",
    "expired",
]
StepStatus: TypeAlias = Literal["in_progress", "cancelled", "failed", "completed", "expired"]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Model: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
Instructions: TypeAlias = Annotated[str, Meta(max_length=256_000)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
TopP: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Tokens: TypeAlias = Annotated[int, Meta(ge=1, le=2**31)]
Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]

# --- tools and forms -------------------------------------------------------------------------------------------------


class FunctionDefinition(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A function with a JSON Schema for its arguments."""

    name: Name
    description: str | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType | None = UNSET
    strict: bool | UnsetType | None = UNSET


class AssistantTool(Wire, frozen=True, kw_only=True, tag="function", forbid_unknown_fields=True):
    """A function that the client runs."""

    function: FunctionDefinition


class FunctionName(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which function."""

    name: Name


class AssistantToolChoice(Wire, frozen=True, kw_only=True, tag="function", forbid_unknown_fields=True):
    """This function must be called."""

    function: FunctionName


class FormSchema(Wire, frozen=True, kw_only=True, rename={"schema_": "schema"}, forbid_unknown_fields=True):
    """A named JSON Schema."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
    description: str | UnsetType | None = UNSET
    schema_: dict[str, Any]
    strict: bool | UnsetType | None = UNSET


class JsonSchemaForm(Wire, frozen=True, kw_only=True, tag="json_schema", forbid_unknown_fields=True):
    """JSON that fits a schema."""

    json_schema: FormSchema


ToolChoiceOption: TypeAlias = Literal["none", "auto", "required"] | AssistantToolChoice
ResponseFormatOption: TypeAlias = Literal["auto"] | TextFormat | JsonObjectFormat | JsonSchemaForm
Tools: TypeAlias = Annotated[tuple[AssistantTool, ...], Meta(max_length=128)]

# --- assistants ------------------------------------------------------------------------------------------------------


class Assistant(Wire, frozen=True, kw_only=True):
    """A model with instructions and tools. ``temperature`` and ``top_p`` None: the model's own."""

    id: str
    object: Literal["assistant"] = "assistant"
    created_at: int
    name: str | None = None
    description: str | None = None
    model: str
    instructions: str | None = None
    tools: tuple[AssistantTool, ...] = ()
    tool_resources: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    response_format: ResponseFormatOption = "auto"
    reasoning_effort: str | None = None


class UpdateAssistant(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /v1/assistants/{id}``: what is left out stays, what is null is taken away."""

    model: Model | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=256)] | UnsetType | None = UNSET
    description: Annotated[str, Meta(max_length=512)] | UnsetType | None = UNSET
    instructions: Instructions | UnsetType | None = UNSET
    tools: Tools | UnsetType = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    temperature: Temperature | UnsetType | None = UNSET
    top_p: TopP | UnsetType | None = UNSET
    response_format: ResponseFormatOption | UnsetType | None = UNSET
    reasoning_effort: Effort | UnsetType | None = UNSET


class CreateAssistant(UpdateAssistant, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /v1/assistants``."""

    model: Model


# --- threads and messages --------------------------------------------------------------------------------------------


class Thread(Wire, frozen=True, kw_only=True):
    """A conversation that runs are made on."""

    id: str
    object: Literal["thread"] = "thread"
    created_at: int
    metadata: dict[str, str] | None = None
    tool_resources: dict[str, Any] | None = None


class TextGiven(Wire, frozen=True, kw_only=True, tag="text", forbid_unknown_fields=True):
    """Words, as a client sends them."""

    text: Text


class ImageUrl(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image by URL; it is never fetched."""

    url: Annotated[str, Meta(max_length=20 * 2**20)]
    detail: Literal["auto", "low", "high"] = "auto"


class ImageUrlBlock(Wire, frozen=True, kw_only=True, tag="image_url", forbid_unknown_fields=True):
    """An image in a message."""

    image_url: ImageUrl


class TextValue(Wire, frozen=True, kw_only=True):
    """Words, as they are given back."""

    value: str
    annotations: tuple[dict[str, Any], ...] = ()


class TextBlock(Wire, frozen=True, kw_only=True, tag="text"):
    """Words in a message."""

    text: TextValue


class CreateMessage(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /v1/threads/{id}/messages``."""

    role: Literal["user", "assistant"]
    content: Text | Annotated[tuple[TextGiven | ImageUrlBlock, ...], Meta(min_length=1, max_length=1024)]
    metadata: Metadata | None = None


class MessageIncomplete(Wire, frozen=True, kw_only=True):
    """Why a message is not whole."""

    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]


class ThreadMessage(Wire, frozen=True, kw_only=True):
    """What somebody said in a thread."""

    id: str
    object: Literal["thread.message"] = "thread.message"
    created_at: int
    thread_id: str
    status: Literal["in_progress", "incomplete", "completed"] = "completed"
    incomplete_details: MessageIncomplete | None = None
    completed_at: int | None = None
    incomplete_at: int | None = None
    role: Literal["user", "assistant"]
    content: tuple[TextBlock | ImageUrlBlock, ...]
    assistant_id: str | None = None
    run_id: str | None = None
    attachments: tuple[dict[str, Any], ...] = ()
    metadata: dict[str, str] | None = None


class CreateThread(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /v1/threads``."""

    messages: Annotated[tuple[CreateMessage, ...], Meta(max_length=10_000)] = ()
    metadata: Metadata | None = None


class NewMetadata(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New metadata for a thread, message or run."""

    metadata: Metadata | UnsetType | None = UNSET


# --- runs ------------------------------------------------------------------------------------------------------------


class TruncationStrategy(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the thread the model is shown."""

    type: Literal["auto", "last_messages"] = "auto"
    last_messages: Annotated[int, Meta(ge=1)] | None = None


class RunOptions(Wire, frozen=True, kw_only=True):
    """What a run may set apart from its assistant."""

    assistant_id: Id
    model: Model | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    stream: bool | None = None
    max_prompt_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    truncation_strategy: TruncationStrategy | None = None
    tool_choice: ToolChoiceOption | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormatOption | None = None
    reasoning_effort: Effort | None = None


class CreateRun(RunOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /v1/threads/{id}/runs``."""

    additional_instructions: Instructions | None = None
    additional_messages: Annotated[tuple[CreateMessage, ...], Meta(max_length=10_000)] | None = None


class CreateThreadAndRun(RunOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /v1/threads/runs``."""

    thread: CreateThread | None = None


class FunctionCalled(Wire, frozen=True, kw_only=True):
    """A call of a function: its name and its arguments as JSON text."""

    name: str
    arguments: str


class RequiredCall(Wire, frozen=True, kw_only=True):
    """A call whose output the client owes."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCalled


class RequiredCalls(Wire, frozen=True, kw_only=True):
    """All calls of a turn."""

    tool_calls: tuple[RequiredCall, ...]


class RequiredAction(Wire, frozen=True, kw_only=True):
    """What a run waits for."""

    type: Literal["submit_tool_outputs"] = "submit_tool_outputs"
    submit_tool_outputs: RequiredCalls


class RunError(Wire, frozen=True, kw_only=True):
    """Why a run failed."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class RunIncomplete(Wire, frozen=True, kw_only=True):
    """Which limit was reached; no reason where the answer was filtered."""

    reason: Literal["max_completion_tokens", "max_prompt_tokens"] | None = None


class RunUsage(Wire, frozen=True, kw_only=True):
    """Tokens of a run or a step, all turns together, as the engine counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class ThreadRun(Wire, frozen=True, kw_only=True):
    """An assistant at work on a thread. Times in seconds since the epoch."""

    id: str
    object: Literal["thread.run"] = "thread.run"
    created_at: int
    thread_id: str
    assistant_id: str
    status: RunStatus = "queued"
    required_action: RequiredAction | None = None
    last_error: RunError | None = None
    expires_at: int | None = None
    started_at: int | None = None
    cancelled_at: int | None = None
    failed_at: int | None = None
    completed_at: int | None = None
    incomplete_details: RunIncomplete | None = None
    model: str
    instructions: str = ""
    tools: tuple[AssistantTool, ...] = ()
    metadata: dict[str, str] | None = None
    usage: RunUsage | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    truncation_strategy: TruncationStrategy = TruncationStrategy()
    response_format: ResponseFormatOption = "auto"
    tool_choice: ToolChoiceOption = "auto"
    parallel_tool_calls: bool = True
    reasoning_effort: str | None = None


class ToolOutput(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a function gave back."""

    tool_call_id: CallId
    output: Text = ""


class SubmitToolOutputs(Wire, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /v1/threads/{id}/runs/{id}/submit_tool_outputs``."""

    tool_outputs: tuple[ToolOutput, ...]
    stream: bool | None = None


# --- steps -----------------------------------------------------------------------------------------------------------


class MessageCreation(Wire, frozen=True, kw_only=True):
    """Which message a step made."""

    message_id: str


class MessageStep(Wire, frozen=True, kw_only=True, tag="message_creation"):
    """The run said something."""

    message_creation: MessageCreation


class FunctionCallWithOutput(FunctionCalled, frozen=True, kw_only=True):
    """A call, and what came back; None until it did."""

    output: str | None = None


class FunctionToolCall(Wire, frozen=True, kw_only=True):
    """A call inside a step."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCallWithOutput


class ToolCallsStep(Wire, frozen=True, kw_only=True, tag="tool_calls"):
    """The run called functions."""

    tool_calls: tuple[FunctionToolCall, ...]


class RunStep(Wire, frozen=True, kw_only=True):
    """One thing that a run did."""

    id: str
    object: Literal["thread.run.step"] = "thread.run.step"
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: Literal["message_creation", "tool_calls"]
    status: StepStatus = "in_progress"
    cancelled_at: int | None = None
    completed_at: int | None = None
    expired_at: int | None = None
    failed_at: int | None = None
    last_error: RunError | None = None
    step_details: MessageStep | ToolCallsStep
    usage: RunUsage | None = None
    metadata: dict[str, str] | None = None


class Deleted(Wire, frozen=True, kw_only=True):
    """What is said of an object that is gone."""

    id: str
    object: str
    deleted: Literal[True] = True
