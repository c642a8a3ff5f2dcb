"""The manifests of deploy/: what they say to kodo is something that it knows."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kodo.cli.main import COMMANDS
from kodo.server.config import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"


def compose() -> tuple[str, list[str]]:
    """The settings and the commands of the Compose file."""
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    commands = [service["command"][0] for service in read["services"].values() if "entrypoint" in service]
    return read["configs"]["kodo"]["content"], commands


def kubernetes() -> tuple[str, list[str]]:
    """The settings and the commands of the Kubernetes manifests."""
    read: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    config = next(one["data"]["config.toml"] for one in read if one["kind"] == "ConfigMap")
    containers = [
        one["spec"]["template"]["spec"]["containers"][0] for one in read if one["kind"] == "Deployment"
    ]
    return config, [one["command"][-1].rpartition("exec kodo ")[2].split()[0] for one in containers]


@pytest.mark.parametrize("read", [compose, kubernetes], ids=["compose", "kubernetes"])
def test_a_manifest_names_settings_and_commands_that_there_are(read: Any) -> None:
    """A setting that is renamed is renamed there too."""
    text, commands = read()
    given = tomllib.loads(text)
    assert set(given) <= set(Settings.model_fields)
    assert Settings(**given).models["codex-mini-latest"].engine == "upstream"
    assert {"serve", "worker"} <= set(commands) <= {name for name, _, _ in COMMANDS}
