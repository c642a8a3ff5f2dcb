"""``/v1/assistants`` and ``/v1/threads`` as openai-python 3.54 has them (``client.beta``), version 2 of that API.

Where the server does not run ``code_interpreter`` or ``file_search``, these tools, their resources and attachments for them are
refused by name, in :mod:`kodo.server.http.assistants.request_translation`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from kodo.server.wire.items import CallId, Name, StrictWire, Text, Wire
from kodo.server.wire.request import Metadata
from kodo.server.wire.tools import JsonObjectFormat, TextFormat
from kodo.server.wire.vector_stores import ChunkingStrategy, FileId

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


class FunctionDefinition(StrictWire, frozen=True, kw_only=True):
    """A function, with a JSON Schema for its arguments."""

    name: Name
    description: str | UnsetType | None = UNSET
    parameters: dict[str, Any] | UnsetType | None = UNSET
    strict: bool | UnsetType | None = UNSET


class AssistantTool(StrictWire, frozen=True, kw_only=True, tag="function"):
    """A function that the client runs."""

    function: FunctionDefinition


class FileSearchRanking(StrictWire, frozen=True, kw_only=True):
    """How results are ranked."""

    ranker: Literal["auto", "default_2024_08_21"] | UnsetType = UNSET
    score_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0


class FileSearchOptions(StrictWire, frozen=True, kw_only=True):
    """How many results the model is given, and which."""

    max_num_results: Annotated[int, Meta(ge=1, le=50)] | UnsetType = UNSET
    ranking_options: FileSearchRanking | UnsetType = UNSET


class AssistantFileSearch(StrictWire, frozen=True, kw_only=True, tag="file_search"):
    """Search in the vector stores of the assistant and of the thread."""

    file_search: FileSearchOptions | UnsetType = UNSET


class AssistantCodeInterpreter(StrictWire, frozen=True, kw_only=True, tag="code_interpreter"):
    """Python that the server runs."""


class FunctionName(StrictWire, frozen=True, kw_only=True):
    """The name of a function."""

    name: Name


class AssistantToolChoice(StrictWire, frozen=True, kw_only=True, tag="function"):
    """The model must call this function."""

    function: FunctionName


class FileSearchToolChoice(StrictWire, frozen=True, kw_only=True, tag="file_search"):
    """The model must search in files."""


class CodeInterpreterToolChoice(StrictWire, frozen=True, kw_only=True, tag="code_interpreter"):
    """The model must run code."""


class CodeInterpreterResources(StrictWire, frozen=True, kw_only=True):
    """Files that code can read."""

    file_ids: Annotated[tuple[str, ...], Meta(max_length=20)] = ()


class FileSearchResources(StrictWire, frozen=True, kw_only=True):
    """The vector store that is searched."""

    vector_store_ids: Annotated[tuple[str, ...], Meta(max_length=1)] = ()


class ToolResources(StrictWire, frozen=True, kw_only=True):
    """What the tools that the server runs work on."""

    code_interpreter: CodeInterpreterResources | UnsetType | None = UNSET
    file_search: FileSearchResources | UnsetType | None = UNSET


class NewVectorStore(StrictWire, frozen=True, kw_only=True):
    """A vector store that is created for an assistant or a thread."""

    file_ids: Annotated[tuple[FileId, ...], Meta(max_length=500)] = ()
    chunking_strategy: ChunkingStrategy | None = None
    metadata: Metadata | None = None


class NewFileSearchResources(FileSearchResources, frozen=True, kw_only=True):
    """The store that is searched, or one to create, in the body of something new."""

    vector_stores: Annotated[tuple[NewVectorStore, ...], Meta(max_length=1)] | UnsetType | None = UNSET


class NewToolResources(ToolResources, frozen=True, kw_only=True):
    """What the tools of something new work on."""

    file_search: NewFileSearchResources | UnsetType | None = UNSET


class FormSchema(StrictWire, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """A JSON Schema with a name."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]
    description: str | UnsetType | None = UNSET
    schema_: dict[str, Any]
    strict: bool | UnsetType | None = UNSET


class JsonSchemaForm(StrictWire, frozen=True, kw_only=True, tag="json_schema"):
    """JSON that conforms to a schema."""

    json_schema: FormSchema


AnyAssistantTool: TypeAlias = AssistantTool | AssistantFileSearch | AssistantCodeInterpreter
ToolChoiceOption: TypeAlias = (
    Literal["none", "auto", "required"]
    | AssistantToolChoice
    | FileSearchToolChoice
    | CodeInterpreterToolChoice
)
ResponseFormatOption: TypeAlias = Literal["auto"] | TextFormat | JsonObjectFormat | JsonSchemaForm
Tools: TypeAlias = Annotated[tuple[AnyAssistantTool, ...], Meta(max_length=128)]

# --- assistants ------------------------------------------------------------------------------------------------------


class Assistant(Wire, frozen=True, kw_only=True):
    """A model with instructions and tools. Where the client set no temperature or ``top_p``, the model's own are shown."""

    id: str
    object: Literal["assistant"] = "assistant"
    created_at: int
    name: str | None = None
    description: str | None = None
    model: str
    instructions: str | None = None
    tools: tuple[AnyAssistantTool, ...] = ()
    tool_resources: ToolResources | None = None
    metadata: dict[str, str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    response_format: ResponseFormatOption = "auto"
    reasoning_effort: str | None = None


class UpdateAssistant(StrictWire, frozen=True, kw_only=True):
    """The fields to change: a missing field keeps its value, null removes it."""

    model: Model | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=256)] | UnsetType | None = UNSET
    description: Annotated[str, Meta(max_length=512)] | UnsetType | None = UNSET
    instructions: Instructions | UnsetType | None = UNSET
    tools: Tools | UnsetType = UNSET
    tool_resources: ToolResources | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET
    temperature: Temperature | UnsetType | None = UNSET
    top_p: TopP | UnsetType | None = UNSET
    response_format: ResponseFormatOption | UnsetType | None = UNSET
    reasoning_effort: Effort | UnsetType | None = UNSET


class CreateAssistant(UpdateAssistant, frozen=True, kw_only=True):
    """The body that creates an assistant."""

    model: Model
    tool_resources: NewToolResources | UnsetType | None = UNSET


# --- threads and messages --------------------------------------------------------------------------------------------


class Thread(Wire, frozen=True, kw_only=True):
    """A conversation for assistants. ``created_at`` is in seconds since the epoch."""

    id: str
    object: Literal["thread"] = "thread"
    created_at: int
    metadata: dict[str, str] | None = None
    tool_resources: ToolResources | None = None


MessageText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=10 * 2**20)]


class TextParam(StrictWire, frozen=True, kw_only=True, tag="text"):
    """Text in a message that a client sends."""

    text: MessageText


class ImageUrl(StrictWire, frozen=True, kw_only=True):
    """An image by URL. The server does not download it."""

    url: Annotated[str, Meta(max_length=20 * 2**20)]
    detail: Literal["auto", "low", "high"] = "auto"


class ImageUrlBlock(StrictWire, frozen=True, kw_only=True, tag="image_url"):
    """An image in a message."""

    image_url: ImageUrl


class ImageFile(StrictWire, frozen=True, kw_only=True):
    """An image by the id of a file."""

    file_id: FileId
    detail: Literal["auto", "low", "high"] = "auto"


class ImageFileBlock(StrictWire, frozen=True, kw_only=True, tag="image_file"):
    """An image in a message, of a file that was uploaded."""

    image_file: ImageFile


ImageBlock: TypeAlias = ImageUrlBlock | ImageFileBlock


class TextValue(Wire, frozen=True, kw_only=True):
    """The text of a message that the server returns."""

    value: str
    annotations: tuple[dict[str, Any], ...] = ()


class TextBlock(Wire, frozen=True, kw_only=True, tag="text"):
    """Text in a message that the server returns."""

    text: TextValue


class AttachedToSearch(StrictWire, frozen=True, kw_only=True, tag="file_search"):
    """The file joins the vector store of the thread."""


class AttachedToCode(StrictWire, frozen=True, kw_only=True, tag="code_interpreter"):
    """Code of the thread's runs can read the file."""


class Attachment(StrictWire, frozen=True, kw_only=True):
    """A file that comes with a message, and the tools that it is for."""

    file_id: FileId
    tools: Annotated[tuple[AttachedToSearch | AttachedToCode, ...], Meta(max_length=2)] | None = None


class CreateMessage(StrictWire, frozen=True, kw_only=True):
    """A message to add to a thread."""

    role: Literal["user", "assistant"]
    content: (
        MessageText
        | Annotated[
            tuple[TextParam | ImageUrlBlock | ImageFileBlock, ...], Meta(min_length=1, max_length=1024)
        ]
    )
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=500)] | None = None
    metadata: Metadata | None = None


class MessageIncomplete(Wire, frozen=True, kw_only=True):
    """Why a message is incomplete."""

    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]


class ThreadMessage(Wire, frozen=True, kw_only=True):
    """A message in a thread. Times are in seconds since the epoch."""

    id: str
    object: Literal["thread.message"] = "thread.message"
    created_at: int
    thread_id: str
    status: Literal["in_progress", "incomplete", "completed"] = "completed"
    incomplete_details: MessageIncomplete | None = None
    completed_at: int | None = None
    incomplete_at: int | None = None
    role: Literal["user", "assistant"]
    content: tuple[TextBlock | ImageUrlBlock | ImageFileBlock, ...]
    assistant_id: str | None = None
    run_id: str | None = None
    attachments: tuple[Attachment, ...] = ()
    metadata: dict[str, str] | None = None


class CreateThread(StrictWire, frozen=True, kw_only=True):
    """A new thread: its first messages, its metadata, and what tools work on."""

    tool_resources: NewToolResources | None = None
    messages: Annotated[tuple[CreateMessage, ...], Meta(max_length=10_000)] = ()
    metadata: Metadata | None = None


class UpdateThread(StrictWire, frozen=True, kw_only=True):
    """The fields of a thread to change."""

    metadata: Metadata | UnsetType | None = UNSET
    tool_resources: ToolResources | UnsetType | None = UNSET


class NewMetadata(StrictWire, frozen=True, kw_only=True):
    """The new metadata of a message or run."""

    metadata: Metadata | UnsetType | None = UNSET


# --- runs ------------------------------------------------------------------------------------------------------------


class TruncationStrategy(StrictWire, frozen=True, kw_only=True):
    """How many of the thread's messages the model receives."""

    type: Literal["auto", "last_messages"] = "auto"
    last_messages: Annotated[int, Meta(ge=1)] | None = None


class RunOptions(StrictWire, frozen=True, kw_only=True):
    """What a run may override of its assistant's settings."""

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


class CreateRun(RunOptions, frozen=True, kw_only=True):
    """The body that creates a run."""

    additional_instructions: Instructions | None = None
    additional_messages: Annotated[tuple[CreateMessage, ...], Meta(max_length=10_000)] | None = None


class CreateThreadAndRun(RunOptions, frozen=True, kw_only=True):
    """The body that creates a thread and runs it. ``tool_resources``: in the place of the assistant's."""

    tool_resources: ToolResources | None = None

    thread: CreateThread | None = None


class RunFunctionCall(Wire, frozen=True, kw_only=True):
    """The name of a function that the model calls, and its arguments as JSON text."""

    name: str
    arguments: str


class RequiredCall(Wire, frozen=True, kw_only=True):
    """A function call whose output the client must submit."""

    id: str
    type: Literal["function"] = "function"
    function: RunFunctionCall


class RequiredCalls(Wire, frozen=True, kw_only=True):
    """The function calls whose outputs the client must submit, all in one request."""

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
    """The limit that ended the run; null if the answer was filtered."""

    reason: Literal["max_completion_tokens", "max_prompt_tokens"] | None = None


class RunUsage(Wire, frozen=True, kw_only=True):
    """The number of tokens used by all turns of a run or step, as counted by the engine."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class ThreadRun(Wire, frozen=True, kw_only=True):
    """A run of an assistant on a thread. Times are in seconds since the epoch."""

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
    tools: tuple[AnyAssistantTool, ...] = ()
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


class ToolOutput(StrictWire, frozen=True, kw_only=True):
    """The output of a function call."""

    tool_call_id: CallId
    output: Text = ""


class SubmitToolOutputs(StrictWire, frozen=True, kw_only=True):
    """The outputs of all function calls that the run waits for."""

    tool_outputs: tuple[ToolOutput, ...]
    stream: bool | None = None


# --- steps -----------------------------------------------------------------------------------------------------------


class MessageCreation(Wire, frozen=True, kw_only=True):
    """The message that a step created."""

    message_id: str


class MessageStep(Wire, frozen=True, kw_only=True, tag="message_creation"):
    """A step in which the run created a message."""

    message_creation: MessageCreation


class FunctionCallWithOutput(RunFunctionCall, frozen=True, kw_only=True):
    """A function call with its output; null until it is submitted."""

    output: str | None = None


class FunctionToolCall(Wire, frozen=True, kw_only=True, tag="function"):
    """A function call in a step."""

    id: str
    function: FunctionCallWithOutput


class FileSearchResultText(Wire, frozen=True, kw_only=True):
    """A text of a result."""

    type: Literal["text"] = "text"
    text: str


class FileSearchStepResult(Wire, frozen=True, kw_only=True):
    """A result of a search. ``content`` only where it is asked for."""

    file_id: str
    file_name: str
    score: float
    content: tuple[FileSearchResultText, ...] | UnsetType = UNSET


class FileSearchStep(Wire, frozen=True, kw_only=True):
    """A search in files: how its results were ranked, and the results."""

    ranking_options: FileSearchRanking | UnsetType = UNSET
    results: tuple[FileSearchStepResult, ...] = ()


class FileSearchToolCall(Wire, frozen=True, kw_only=True, tag="file_search"):
    """A search in files in a step."""

    id: str
    file_search: FileSearchStep = FileSearchStep()


class CodeInterpreterStep(Wire, frozen=True, kw_only=True):
    """Code, and what it wrote."""

    input: str = ""
    outputs: tuple[dict[str, Any], ...] = ()


class CodeInterpreterToolCall(Wire, frozen=True, kw_only=True, tag="code_interpreter"):
    """Code that ran in a step."""

    id: str
    code_interpreter: CodeInterpreterStep = CodeInterpreterStep()


class ToolCallsStep(Wire, frozen=True, kw_only=True, tag="tool_calls"):
    """A step in which the run called functions, or the server ran a tool."""

    tool_calls: tuple[FunctionToolCall | FileSearchToolCall | CodeInterpreterToolCall, ...]


class RunStep(Wire, frozen=True, kw_only=True):
    """A step of a run. Times are in seconds since the epoch."""

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
    """Confirms that an object was deleted."""

    id: str
    object: str
    deleted: Literal[True] = True
