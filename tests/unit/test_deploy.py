"""The manifests of deploy/: what they say to kodo is something that it knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kodo.cli.main import COMMANDS
from kodo.server.config import Settings

DEPLOY = Path(__file__).parents[2] / "deploy"


def compose(name: str) -> tuple[str, list[str]]:
    """The settings and the commands of a Compose file; of one that is put over the first, the commands of the services that it changes."""
    read: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    base: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    changed = [name for name, service in read["services"].items() if "entrypoint" in service]
    commands = [base["services"][name]["command"][0] for name in changed]
    return read["configs"]["kodo"]["content"], commands


def kubernetes(name: str) -> tuple[str, list[str]]:
    """The settings and the commands of Kubernetes manifests."""
    read: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / name).read_text()))
    config = next(one["data"]["config.toml"] for one in read if one["kind"] == "ConfigMap")
    containers = [
        one["spec"]["template"]["spec"]["containers"][0] for one in read if one["kind"] == "Deployment"
    ]
    return config, [one["command"][-1].rpartition("exec kodo ")[2].split()[0] for one in containers]


@pytest.mark.parametrize("name", sorted(file.name for file in DEPLOY.glob("*.yaml")))
def test_a_manifest_names_settings_and_commands_that_there_are(name: str) -> None:
    """A setting that is renamed is renamed there too; files are in one place for all servers, a shared folder or a bucket."""
    text, commands = (compose if name.startswith("compose") else kubernetes)(name)
    given = tomllib.loads(text)
    assert set(given) <= set(Settings.model_fields)
    settings = Settings(**given)
    assert settings.models["codex-mini-latest"].engine == "upstream"
    assert (settings.shared_folder is None, str(settings.files).startswith("s3://")) == (".s3." in name,) * 2
    assert {"serve", "worker"} <= set(commands) <= {name for name, _, _ in COMMANDS}


@pytest.mark.parametrize("name", sorted(file.name for file in DEPLOY.glob("*.yaml")))
def test_a_manifest_installs_the_package_that_it_is_given(name: str) -> None:
    """By its address: on a public index another project has the name."""
    text = (DEPLOY / name).read_text()
    installs = re.findall(r'pip install --quiet "kodo\[[a-z0-9,]+\]( @ \$\$?KODO_PACKAGE)?"', text)
    assert installs
    assert all(installs)
    given = re.findall(r"KODO_PACKAGE: |name: KODO_PACKAGE,", text)
    assert len(given) == len(installs)
