"""The settings of the server: one frozen value, read once.

Order of precedence, highest first: arguments, environment (``KODO_*``, ``__`` between nested names), ``config.toml``
in the home folder, the defaults. The client half has settings of its own (endpoints, profiles): ``kodo.client.settings``.
"""

from kodo.server.config.limits import LimitSettings
from kodo.server.config.loading import InvalidSettings, load, with_model
from kodo.server.config.models import (
    DEFAULT_CONTEXT,
    DEFAULT_MODEL,
    LlamaSettings,
    ModelSettings,
    TargetSettings,
)
from kodo.server.config.settings import NO_PRICES, CacheSettings, S3Settings, Settings, UiSettings
from kodo.server.config.tools import (
    CodeInterpreterSettings,
    FileSearchSettings,
    McpServerSettings,
    McpSettings,
    ToolSettings,
    WebSearchSettings,
)

__all__ = [
    "DEFAULT_CONTEXT",
    "DEFAULT_MODEL",
    "NO_PRICES",
    "CacheSettings",
    "CodeInterpreterSettings",
    "FileSearchSettings",
    "InvalidSettings",
    "LimitSettings",
    "LlamaSettings",
    "McpServerSettings",
    "McpSettings",
    "ModelSettings",
    "S3Settings",
    "Settings",
    "TargetSettings",
    "ToolSettings",
    "UiSettings",
    "WebSearchSettings",
    "load",
    "with_model",
]
