"""The settings of the tools that the server runs itself."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from kodo.server.config.tables import Frozen, SentHeaders, SentSecret, Url


class McpServerSettings(Frozen):
    """An MCP server. ``[tools.mcp.servers.NAME]``: ``url``, or ``command`` for one that is started here."""

    url: Url | None = None
    """Where it is; a client reaches it by this URL, or by NAME as its ``server_label``."""
    transport: Literal["http", "sse"] = "http"
    """url: streamable HTTP, or the older transport over server-sent events."""
    authorization: SentSecret | None = None
    """url: a bearer token, where the client sends none."""
    headers: SentHeaders = Field(default_factory=dict)
    """url: sent with each request."""
    command: tuple[str, ...] = ()
    """A program and its arguments, spoken to over its standard input and output. Started for each project that uses it."""
    env: dict[str, SecretStr] = Field(default_factory=dict)
    """command: set in its environment, besides PATH, HOME and the like."""
    cwd: Path | None = None
    """command: the folder that it is started in."""

    @model_validator(mode="after")
    def _one_way(self) -> McpServerSettings:
        if (self.url is None) == (not self.command):
            raise ValueError("an MCP server needs either url or command")
        return self


class McpSettings(Frozen):
    """MCP servers that the model may use. ``[tools.mcp]``."""

    servers: dict[str, McpServerSettings] = Field(default_factory=dict)
    allowed_urls: tuple[str, ...] = ()
    """More URLs that a client may name in ``server_url``, each exact, or with ``*`` at its end for everything below it."""
    max_tools: int = Field(default=128, ge=1)
    """Tools of one server; more are left out."""
    max_bytes: int = Field(default=8 * 2**20, ge=1024)
    """Bytes of one answer of a server: over HTTP of its body, from a command of one line."""
    max_sessions: int = Field(default=64, ge=1)
    """Servers that are connected or running at the same time; the one that was idle for longest is closed."""
    connect_seconds: float = Field(default=10, gt=0)
    idle_seconds: float = Field(default=120, gt=0)
    """How long a connection, or a server that was started here, is kept after its last call."""


class FileSearchSettings(Frozen):
    """Vector stores and the search in them. ``[tools.file_search]``."""

    embedder: str | None = None
    """A name of ``[models]`` whose ``/v1/embeddings`` makes the vectors; default: the local embedder, where it was pulled,
    else none: the stores are searched by words."""
    max_files: int = Field(default=10_000, ge=1)
    """Files of one store."""
    max_file_bytes: int = Field(default=64 * 2**20, ge=1024)
    max_text_chars: int = Field(default=20_000_000, ge=1000)
    """A file, and the text in it."""
    read_seconds: float = Field(default=60, ge=1)
    read_bytes: int = Field(default=2 * 2**30, ge=256 * 2**20)
    """Processor time and memory of the process that reads a file."""
    parallel: int = Field(default=2, ge=1)
    """Files that are read and indexed at the same time."""


class WebSearchSettings(Frozen):
    """The search on the web. ``[tools.web_search]``; off without ``backend``."""

    backend: Literal["searxng", "brave", "tavily", "command"] | None = None
    """The service that is asked, or ``command``: an own program."""
    url: Url | None = None
    """searxng: where it is, such as ``http://127.0.0.1:8888``; brave and tavily: another place than their own."""
    api_key: SentSecret | None = None
    """brave and tavily: the key; searxng: a bearer token, where a proxy before it wants one."""
    command: tuple[str, ...] = ()
    """command: the program and its arguments. It reads the search as JSON and writes the results as JSON."""
    language: str | None = None
    """The language of results, such as ``en`` or ``ja``, where the service takes one; default: the service's own."""
    search_seconds: float = Field(default=15, gt=0)
    """How long the service may take."""
    search_bytes: int = Field(default=4 * 2**20, ge=1024)
    """Bytes of its answer."""
    page_seconds: float = Field(default=20, gt=0)
    """How long a page may take, with all redirects."""
    page_bytes: int = Field(default=8 * 2**20, ge=1024)
    unpacked_bytes: int = Field(default=16 * 2**20, ge=1024)
    """A page as it is sent, and when it is decompressed."""
    page_chars: int = Field(default=400_000, ge=1000)
    """Characters of the text in a page; the rest is cut."""
    redirects: int = Field(default=5, ge=0, le=20)
    ports: tuple[int, ...] = (80, 443)
    """Ports of the pages that may be opened."""
    networks: tuple[str, ...] = ()
    """Networks inside which pages may be opened although they are not public, such as ``10.1.0.0/16``: an intranet.
    Every client of this server can then read what is there without a password."""
    cache_seconds: float = Field(default=300, ge=0)
    """How long the text of a page is kept in memory, for the next call that opens it."""

    @model_validator(mode="after")
    def _complete(self) -> WebSearchSettings:
        needed = {"searxng": "url", "brave": "api_key", "tavily": "api_key", "command": "command"}
        if self.backend is not None and not getattr(self, needed[self.backend]):
            raise ValueError(f"the backend {self.backend} needs {needed[self.backend]}")
        for network in self.networks:
            ip_network(network)
        return self


class CodeInterpreterSettings(Frozen):
    """Containers, and the code in them. ``[tools.code_interpreter]``."""

    enabled: bool = True
    """Whether code runs at all. It never does where the sandbox's isolation is not full."""
    python: Path | None = None
    """The interpreter in a container, for one with other packages; default: kodo's own."""
    max_containers: int = Field(default=100, ge=1)
    """Containers of a project that have not expired."""
    max_running: int = Field(default=8, ge=1)
    """Containers of all projects whose processes run; the one idle for longest makes room, and loses its variables."""
    max_memory: Literal["1g", "4g", "16g", "64g"] = "4g"
    """The largest ``memory_limit`` that a client may ask for; it holds for each process."""
    run_seconds: float = Field(default=30, gt=0)
    """Time of a piece of code or a command. A call as a whole also has ``tools.call_seconds``."""
    cpu_seconds: int = Field(default=600, ge=1)
    """Processor time of a process in all, over its calls; then it is ended."""
    processes: int = Field(default=64, ge=4)
    """Processes and threads of a container."""
    disk_bytes: int = Field(default=256 * 2**20, ge=2**20)
    """The working folder of a container; it is in memory while the container runs."""
    max_file_bytes: int = Field(default=64 * 2**20, ge=1024)
    max_files: int = Field(default=500, ge=1)
    """A file, and the files of a container."""
    max_log_chars: int = Field(default=100_000, ge=100)
    """What is kept of the output of a call."""
    idle_minutes: int = Field(default=20, ge=1, le=1440)
    """When a container expires that was created without ``expires_after``."""
    keep_days: float = Field(default=7, gt=0)
    """How long an expired container and its files can be read."""


class ToolSettings(Frozen):
    """Tools that the server runs itself. ``[tools]``."""

    always: tuple[dict[str, Any], ...] = ()
    """Entries that are added to the ``tools`` of every request to the Responses API, for clients that cannot name them."""
    max_turns: int = Field(default=32, ge=1)
    """Turns of the model in one response; in the last one it is offered no tools."""
    max_calls: int = Field(default=128, ge=1)
    """Calls in one response, where the client sets no ``max_tool_calls`` below it."""
    max_parallel: int = Field(default=8, ge=1)
    """Calls of one turn that run at the same time."""
    max_output_chars: int = Field(default=40_000, ge=100)
    """Characters of a call's output that the model is given; the rest is cut."""
    mcp: McpSettings = McpSettings()
    file_search: FileSearchSettings = FileSearchSettings()
    web_search: WebSearchSettings = WebSearchSettings()
    code_interpreter: CodeInterpreterSettings = CodeInterpreterSettings()
    call_seconds: float = Field(default=60, gt=0)
    """How long a call may take; then it has failed, and the model is told so."""
