"""The settings of the server: one frozen value, read once.

Order of precedence, highest first: arguments, environment (``KODO_*``, ``__`` between nested names), ``config.toml``
in the home folder, the defaults below. The client half has settings of its own (endpoints, profiles): ``kodo.client.settings``.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from kodo.home import kodo_home

DEFAULT_MODEL = "smollm2-135m-instruct"
"""Name of the local model that ``make setup`` installs."""
DEFAULT_CONTEXT = 8192
"""Tokens a slot of a local model."""
NO_PRICES = "a budget in dollars needs a price: set price_input, price_cached_input and price_output of a model in [models]"


def _check_text(value: object) -> object:
    """Refuse a NUL, which neither a path nor an argument of a program can have. ValueError: there is one."""
    if isinstance(value, str) and "\0" in value:
        raise ValueError("must not contain a NUL character")
    if isinstance(value, Mapping):
        for each in value.values():
            _check_text(each)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for each in value:
            _check_text(each)
    return value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    _text = field_validator("*", mode="before")(_check_text)


class TargetSettings(_Frozen):
    """One of several servers behind a name. ``[[models."NAME".targets]]``. What is not set is the model's own."""

    base_url: str
    """The server's base URL, ending in ``/v1``."""
    name: str | None = None
    """How it is called in metadata, metrics and logs; default: ``target-1`` and so on."""
    api_key: SecretStr | None = None
    target: str | None = None
    """The model's name there."""
    profile: str | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    query: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)


class ModelSettings(_Frozen):
    """The model behind one name. ``[models."NAME"]`` in the settings file."""

    engine: Literal["llama", "upstream", "scripted"] = "llama"
    target: str = DEFAULT_MODEL
    """llama: a name of ``kodo model list`` or a path to a GGUF; upstream: the model's name there;
    scripted: a path to a script of answers, or empty for an echo."""
    projector: str | None = None
    """llama: a path to the GGUF that turns images into tokens; default: the one that was pulled with the model."""
    base_url: str | None = None
    """upstream: the server's base URL, ending in ``/v1``."""
    api_key: SecretStr | None = None
    """upstream: its key."""
    targets: tuple[TargetSettings, ...] = ()
    """upstream: several servers in place of ``base_url``; see docs/guides/upstream.md."""
    profile: str = "auto"
    """upstream: which kind of server it is; auto asks it."""
    api: Literal["chat", "responses"] = "chat"
    """upstream: the API that it is asked by."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    query: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] = Field(default_factory=dict)
    """upstream: sent with each request, besides what the client asks for."""
    omit: tuple[str, ...] = ()
    """upstream: fields of the body that are left out."""
    images: bool | None = None
    """upstream: whether the model sees images; default: what the server or its profile says."""
    parallel: int | None = Field(default=None, ge=1)
    """upstream: requests at the same time; default: 16 a server."""
    default_output_tokens: int | None = Field(default=None, ge=1)
    """The server's own cap on an answer, in tokens, where the client set none: the answer is ended at a sentence, a list
    item or a closed code block, and counts as completed. Reasoning does not count. ``default_cap`` says when it holds.
    Default: 256 for a model under a billion parameters, else 2,048."""
    default_cap: Literal["auto", "always", "contended"] = "auto"
    """When the server's own cap holds: always, or only where another request has to wait. ``auto``: always for
    a model under a billion parameters, which rambles; else where others wait."""
    end_loops: bool | None = None
    """llama: whether text that goes round in a loop is ended, and a string in JSON closed: in a loop, in a word of more than
    120 bytes, and behind 300 bytes at the next sentence. Never where the client sets penalties itself. With any engine: whether
    the model is offered no more hosted tools behind a call that it repeats with the same result. Default: for models under a
    billion parameters."""
    context_window: int | None = Field(default=None, ge=64)
    """Tokens; default: what the engine reports."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Sampling where the client set none; default: the model card's."""
    price_input: float = Field(default=0.0, ge=0)
    price_cached_input: float = Field(default=0.0, ge=0)
    price_output: float = Field(default=0.0, ge=0)
    """US dollars a million tokens, as reported by ``/v1/models``; budgets of keys in dollars count with them."""

    @property
    def has_price(self) -> bool:
        """Whether any of its tokens costs something."""
        return max(self.price_input, self.price_cached_input, self.price_output) > 0


class LlamaSettings(_Frozen):
    """The embedded engine. ``[llama]``."""

    threads: int = Field(default_factory=lambda: min(os.cpu_count() or 2, 16), ge=1)
    parallel: int | None = Field(default=None, ge=1, le=64)
    """Slots: requests that are decoded together. Default: 4 to 8, by the
    machine's memory and what a slot of the model takes of it."""
    batch: int = Field(default=128, ge=32)
    """Tokens evaluated in one step of a prefill; also how long a cancel has to wait."""
    context: int = Field(default=DEFAULT_CONTEXT, ge=256)
    """Tokens per slot; never more than the model was trained for."""


class LimitSettings(_Frozen):
    """Limits on connections and requests. ``[limits]``; docs/reference/limits.md lists every limit."""

    connections: int | None = Field(default=None, ge=1)
    """Open connections; None: 2,000, or fewer where the process may have too few descriptors."""
    header_bytes: int = Field(default=64 * 2**10, ge=1024)
    headers: int = Field(default=256, ge=8)
    """Size and number of a request's headers."""
    header_seconds: float = Field(default=20, gt=0)
    """From a request's first byte to the end of its headers; also for the first byte of a new connection."""
    body_seconds: float = Field(default=30, gt=0)
    """How long a body may make no progress."""
    idle_seconds: float = Field(default=75, gt=0)
    """How long a connection is kept open between two requests."""
    write_seconds: float = Field(default=60, gt=0)
    """How long a client may read nothing of an answer that waits for it."""
    body_bytes: int = Field(default=16 * 2**20, ge=1024)
    """A request's body, before and after it is decompressed; also a WebSocket's message."""
    sealed_items: int = Field(default=1000, ge=1)
    opened_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Sealed items (``encrypted_content``) that one request may have opened, and their size together when opened."""
    held_body_bytes: int = Field(default=256 * 2**20, ge=1024)
    """The bodies of all requests together; the next large one is answered 503."""
    queue: int = Field(default=256, ge=1)
    """Requests that may wait for the engine; the next one is answered 503."""
    background: int = Field(default=10_000, ge=1)
    background_per_key: int = Field(default=2000, ge=1)
    """Background responses that are not over, in all (the next one is answered 503) and of a key (429)."""
    uploads: int = Field(default=1000, ge=1)
    uploads_per_key: int = Field(default=100, ge=1)
    """Uploads that are open, in all (the next one is answered 503) and of a key (429)."""
    upload_bytes: int = Field(default=64 * 2**30, ge=1024)
    upload_bytes_per_key: int = Field(default=16 * 2**30, ge=1024)
    """Bytes of the parts of open uploads, in all (503) and of a key (429)."""
    session_items: int = Field(default=1000, ge=1)
    session_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Items of a realtime session's conversation, and their size together; also the size of those that a connection of the
    Responses API remembers."""
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    concurrent_requests: int | None = Field(default=None, ge=1)
    tokens_per_day: int | None = Field(default=None, ge=1, lt=2**53)
    tokens_per_month: int | None = Field(default=None, ge=1, lt=2**53)
    usd_per_day: float | None = Field(default=None, gt=0, le=1e6)
    usd_per_month: float | None = Field(default=None, gt=0, le=1e6)
    """Per key; None means unlimited. A key created with its own limits has those instead. Days and months are UTC's."""


class McpServerSettings(_Frozen):
    """An MCP server. ``[tools.mcp.servers.NAME]``: ``url``, or ``command`` for one that is started here."""

    url: str | None = None
    """Where it is; a client reaches it by this URL, or by NAME as its ``server_label``."""
    transport: Literal["http", "sse"] = "http"
    """url: streamable HTTP, or the older transport over server-sent events."""
    authorization: SecretStr | None = None
    """url: a bearer token, where the client sends none."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
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


class McpSettings(_Frozen):
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


class FileSearchSettings(_Frozen):
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


class WebSearchSettings(_Frozen):
    """The search on the web. ``[tools.web_search]``; off without ``backend``."""

    backend: Literal["searxng", "brave", "tavily", "command"] | None = None
    """The service that is asked, or ``command``: an own program."""
    url: str | None = None
    """searxng: where it is, such as ``http://127.0.0.1:8888``; brave and tavily: another place than their own."""
    api_key: SecretStr | None = None
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


class CodeInterpreterSettings(_Frozen):
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


class ToolSettings(_Frozen):
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


class UiSettings(_Frozen):
    """The dashboard at ``/ui``. ``[ui]``."""

    enabled: bool = True
    show_prompts: bool = True
    """Whether what clients sent and models answered is shown: texts, arguments, metadata, files. Counts always are."""
    session_hours: float = Field(default=12, gt=0)
    """How long a browser stays signed in where keys exist."""


class CacheSettings(_Frozen):
    """Saved prompt state. ``[cache]``."""

    disk_bytes: int = Field(default=2 * 2**30, ge=0)
    """Quota of saved prompt state on disk; 0 saves none."""
    minimum_tokens: int = Field(default=256, ge=1)
    """Prompts shorter than this are not saved."""


class S3Settings(_Frozen):
    """How the bucket of ``files`` is reached. ``[s3]``. Credentials come from the environment only."""

    endpoint: str | None = None
    """The address of a store other than Amazon's: ``https://host:port``. None: ``AWS_ENDPOINT_URL_S3``, ``AWS_ENDPOINT_URL``, else
    Amazon's."""
    region: str | None = None
    """None: ``AWS_REGION`` or ``AWS_DEFAULT_REGION``, else ``us-east-1``."""
    path_style: bool | None = None
    """Whether the bucket stands in the path of an address, as MinIO and most others have it, or before the host. None: in the path,
    where there is an endpoint."""

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"https?://[^/@\s?#]+/?", value):
            raise ValueError("must be http://host:port or https://host:port")
        return None if value is None else value.rstrip("/")


class Settings(BaseSettings):
    """All settings of the server. Frozen; built by :func:`load`."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_prefix="KODO_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    home: Path = Field(default_factory=kodo_home)
    database: SecretStr | None = None
    """Where everything is stored: ``postgresql://user:password@host:5432/name``, which several servers may share; None:
    ``kodo.db`` in ``home``."""
    shared_folder: Path | None = None
    """Where files and the key of sealed reasoning are; with several servers, a folder that all of them see. None: ``home``."""
    files: str | None = None
    """A bucket that speaks S3, in place of ``shared_folder``: ``s3://bucket/prefix``."""
    s3: S3Settings = S3Settings()
    lease_seconds: float = Field(default=15, ge=1)
    """With several servers on one database: one that was not heard of for so long is taken for dead, and others go on with
    its work."""
    role: Literal["all", "api", "worker"] = "all"
    """With several servers on one database: ``api`` leaves background responses and batches to others, ``worker`` does only
    these and takes no requests."""
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    cors_origins: tuple[str, ...] = ()
    """Origins a browser page may call from; none by default."""
    allowed_hosts: tuple[str, ...] = ()
    """Names accepted in the Host header besides loopback ones and the bound address."""
    open_metrics: bool = False
    """Whether ``/metrics`` and ``/openapi.json`` are answered without a key where keys exist: for scrapers."""
    images: Literal["note", "refuse"] = "note"
    """Text-only models: an image part becomes a short note to the model, or the request is a 400."""
    retention_days: float = Field(default=30, gt=0)
    """Responses, stored chat completions and batches that are over are deleted when they are older."""
    thread_days: float | None = Field(default=None, gt=0)
    """Threads of the Assistants API are deleted this many days after the last addition; None means never."""
    shutdown_seconds: float = Field(default=30, ge=0)
    """How long requests in flight may continue after SIGTERM."""
    heartbeat_seconds: float = Field(default=5, gt=0)
    """Pause after which a waiting stream repeats ``response.in_progress``."""
    run_seconds: float = Field(default=600, gt=0)
    """Life of an Assistants run; one that is not over by then expires."""
    websockets: bool = True
    connection_seconds: float = Field(default=3600, gt=0)
    """Time limit of a WebSocket; the client then has to open a new one."""
    models: dict[str, ModelSettings] = Field(default_factory=lambda: {"codex-mini-latest": ModelSettings()})
    llama: LlamaSettings = LlamaSettings()
    limits: LimitSettings = LimitSettings()
    cache: CacheSettings = CacheSettings()
    tools: ToolSettings = ToolSettings()
    ui: UiSettings = UiSettings()

    _text = field_validator("*", mode="before")(_check_text)

    @field_validator("database")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return value

    @field_validator("files")
    @classmethod
    def _is_a_bucket(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(
            r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)*/?", value
        ):
            raise ValueError("must be s3://bucket or s3://bucket/prefix")
        return None if value is None else value.rstrip("/")

    @field_validator("role")
    @classmethod
    def _needs_a_database(cls, value: str, info: ValidationInfo) -> str:
        if value != "all" and info.data.get("database") is None:
            raise ValueError(f"'{value}' needs the setting database: with SQLite there is one server")
        return value

    @model_validator(mode="after")
    def _has_prices_for_its_budgets(self) -> Settings:
        for name in ("usd_per_day", "usd_per_month"):
            if getattr(self.limits, name) is not None and not self.has_prices:
                raise ValueError(f"limits.{name}: {NO_PRICES}")
        return self

    @property
    def has_prices(self) -> bool:
        """Whether any model has a price, without which a budget in dollars would never be spent."""
        return any(model.has_price for model in self.models.values())

    @property
    def database_url(self) -> str | None:
        """The address of the database, with its password; None: SQLite."""
        return None if self.database is None else self.database.get_secret_value()

    @property
    def shared(self) -> Path:
        """The folder that all servers on one database share."""
        return self.shared_folder or self.home

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, then ``config.toml``."""
        toml = TomlConfigSettingsSource(settings_cls, toml_file=kodo_home() / "config.toml")
        return init_settings, env_settings, toml


class InvalidSettings(ValueError):
    """The settings cannot be used; the message is one line that names the setting, or the file."""


_CLIENT_TABLES = frozenset({"client", "profiles"})
"""Tables of ``config.toml`` that belong to the client half."""
_CLIENT_VARIABLES = frozenset({"model"})
"""Of its variables, those whose names are near to one of these settings."""


def load(**overrides: object) -> Settings:
    """Read the settings once.

    Raises:
        InvalidSettings: a setting is unknown, or has the wrong type or range; or ``config.toml`` cannot be read.
    """
    _check_names(_read_file(kodo_home() / "config.toml"))
    _check_variables(os.environ)
    set_overrides = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**set_overrides)  # type: ignore[arg-type]  # checked by pydantic at run time
    except ValidationError as error:
        faults = error.errors()
        first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            *outer, name = (str(part) for part in first["loc"])
            _check_known((name,), _names_at(outer), "".join(f"{part}." for part in outer))
        raise InvalidSettings(f"Setting {place}: {first['msg']}") from None


def _read_file(path: Path) -> dict[str, Any]:
    """The settings file; empty where there is none. Raises :class:`InvalidSettings`."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise InvalidSettings(f"{path} is not UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidSettings(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise InvalidSettings(f"{path} cannot be read: {error.strerror}.") from None


def _check_names(data: Mapping[str, Any]) -> None:
    """Check that every name in the settings file is that of a setting. Raises :class:`InvalidSettings`."""
    _check_known(data, {*Settings.model_fields, *_CLIENT_TABLES}, "")
    for name, field in Settings.model_fields.items():
        table = field.annotation
        if isinstance(table, type) and issubclass(table, BaseModel) and isinstance(data.get(name), Mapping):
            _check_known(data[name], set(table.model_fields), f"{name}.")
    models = data.get("models")
    for name, model in models.items() if isinstance(models, Mapping) else ():
        if isinstance(model, Mapping):
            _check_known(model, set(ModelSettings.model_fields), f'models."{name}".')


def _check_variables(environment: Mapping[str, str]) -> None:
    """Check the variables that can only be meant for the server: tables, and what is nearly a setting's name. Raises
    :class:`InvalidSettings`."""
    for name in environment:
        if name.startswith("KODO_"):
            setting, nested, _ = name.removeprefix("KODO_").lower().partition("__")
            near = difflib.get_close_matches(setting, Settings.model_fields, n=1, cutoff=0.85)
            if nested or (near and setting not in _CLIENT_VARIABLES):
                _check_known((setting,), set(Settings.model_fields), "")


def _names_at(path: Sequence[str]) -> set[str]:
    """The names of the settings in the table at a path of names, keys and indexes."""
    kind: Any = Settings
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[part].annotation
        else:
            kind = get_args(kind)[1 if get_origin(kind) is dict else 0]
    return set(kind.model_fields)


def _check_known(names: Iterable[str], known: set[str], prefix: str) -> None:
    for name in names:
        if name not in known:
            (close,) = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)
            raise InvalidSettings(f"Unknown setting {prefix}{name}; did you mean {prefix}{close}?")


def with_model(settings: Settings, name: str) -> Settings:
    """The settings with another model behind ``codex-mini-latest``.

    ``name`` is one of ``settings.models``, else the target of the llama engine: a local model or a path to a GGUF.
    """
    alias = settings.models.get("codex-mini-latest", ModelSettings())
    chosen = settings.models.get(name) or alias.model_copy(update={"engine": "llama", "target": name})
    return settings.model_copy(update={"models": {**settings.models, "codex-mini-latest": chosen}})
