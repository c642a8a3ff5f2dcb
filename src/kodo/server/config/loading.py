"""Reads the settings once, and names what is wrong with them."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError

from kodo.home import kodo_home
from kodo.server.config.limits import LimitSettings
from kodo.server.config.models import LlamaSettings, ModelSettings
from kodo.server.config.settings import Settings


class InvalidSettings(ValueError):
    """The settings cannot be used; the message is one line that names the setting, or the file."""


_CLIENT_TABLES = frozenset({"client", "profiles"})
"""Tables of ``config.toml`` that belong to the client half."""
_CLIENT_VARIABLES = frozenset({"model"})
"""Of its variables, those whose names are near to one of these settings."""

_INNER: Final = {
    name: f"{place}.{name}"
    for table, place in ((ModelSettings, "models.NAME"), (LlamaSettings, "llama"), (LimitSettings, "limits"))
    for name in table.model_fields
}
"""Settings of tables, for a name that stands outside of them."""


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
        message = first["msg"].removeprefix("Value error, ")  # the parser's word
        raise InvalidSettings(f"Setting {place}: {message}") from None


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
            near = [f"{prefix}{one}" for one in difflib.get_close_matches(name, sorted(known), n=1)]
            if not near and not prefix:
                near = [_INNER[one] for one in difflib.get_close_matches(name, _INNER, n=1)]
            if near:
                raise InvalidSettings(f"Unknown setting {prefix}{name}; did you mean {near[0]}?")
            raise InvalidSettings(f"Unknown setting {prefix}{name}. There are: {', '.join(sorted(known))}.")


def with_model(settings: Settings, name: str) -> Settings:
    """The settings with another model behind ``codex-mini-latest``.

    ``name`` is one of ``settings.models``, else the target of the llama engine: a local model or a path to a GGUF.
    """
    alias = settings.models.get("codex-mini-latest", ModelSettings())
    chosen = settings.models.get(name) or alias.model_copy(update={"engine": "llama", "target": name})
    return settings.model_copy(update={"models": {**settings.models, "codex-mini-latest": chosen}})
