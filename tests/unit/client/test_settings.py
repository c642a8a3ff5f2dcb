"""The toolkit's settings: layers, profiles, and which key goes where."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from kodo.client.errors import SettingsError
from kodo.client.session import Session
from kodo.client.settings import DEFAULT_MODEL, changed, load


@pytest.fixture
def config(home: Path):
    def write(text: str) -> None:
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(text, "utf-8")

    return write


FILE = """
[client]
model = "of-client"
base_url = "http://client/v1"
api_key = "client-key"
max_retries = 1

[profiles.work]
base_url = "https://office.example/v1"
api_key_env = "WORK_KEY"
model = "of-work"

[profiles.lab]
base_url = "https://lab/v1"
"""


def test_nothing_configured_is_a_local_kodo() -> None:
    """Without file, environment or arguments there is no address and no key."""
    settings = load()
    assert (settings.base_url, settings.key(), settings.model) == (None, None, DEFAULT_MODEL)


def test_arguments_outrank_environment_outranks_file(config, monkeypatch: pytest.MonkeyPatch) -> None:
    """[client] < environment < arguments, each setting on its own."""
    config(FILE)
    assert load().model == "of-client"
    monkeypatch.setenv("KODO_MODEL", "of-environment")
    assert load().model == "of-environment"
    assert load(model="of-argument").model == "of-argument"
    assert load().max_retries == 1


def test_the_openai_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """OPENAI_BASE_URL and OPENAI_API_KEY name the server, KODO_BASE_URL outranks them."""
    monkeypatch.setenv("OPENAI_BASE_URL", "https://openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    settings = load()
    assert (settings.base_url, settings.key()) == ("https://openai/v1", "openai-key")
    monkeypatch.setenv("KODO_BASE_URL", "https://kodo/v1")
    assert load().base_url == "https://kodo/v1"


def test_a_default_profile_is_below_the_environment_a_named_one_above(
    config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPENAI_BASE_URL outranks the profile of KODO_PROFILE, and the profile that was named outranks both."""
    config(FILE)
    monkeypatch.setenv("WORK_KEY", "work-key")
    monkeypatch.setenv("KODO_PROFILE", "work")
    assert (load().base_url, load().key()) == ("https://office.example/v1", "work-key")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://openai/v1")
    assert load().base_url == "https://openai/v1"
    assert load("lab").base_url == "https://lab/v1"
    assert load("lab").profile == "lab"


def test_a_key_does_not_travel_to_another_address(config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile with a URL and no key takes neither the key of [client] nor OPENAI_API_KEY."""
    config(FILE)
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    assert load("lab").key() is None
    assert load().key() == "client-key"


def test_openai_api_key_alone_is_not_sent_to_a_local_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a base URL OPENAI_API_KEY is not used; with one given as argument it is."""
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key")
    assert load().key() is None
    assert load(base_url="https://api.openai.com/v1").key() == "openai-key"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[client]\nmax_retries = 'many'", "max_retries"),
        ("[client]\ntypo = 1", "typo"),
        ("[client\n", r"config\.toml"),
        ("client = 3", r"\[client\]"),
        ('[client]\nprofile = "gone"', "gone"),
        ("[client.prices.x]\ninput = -1\noutput = 1", r"prices\.x\.input"),
    ],
)
def test_a_wrong_setting_is_one_error_that_names_it(config, text: str, message: str) -> None:
    """Types, unknown names, broken files and missing profiles are SettingsErrors."""
    config(text)
    with pytest.raises(SettingsError, match=message):
        load()


def test_a_missing_key_variable_is_named(config) -> None:
    """api_key_env that is not set is an error when the key is needed."""
    config(FILE)
    with pytest.raises(SettingsError, match="WORK_KEY"):
        load("work").key()


def test_prices_of_the_settings_and_the_policy(config) -> None:
    """Own prices are read; without a policy, unknown prices are refused under a limit and warned of else."""
    config('[client.prices."my/model"]\ninput = 1\noutput = "2.5"')
    settings = load()
    assert settings.price_book(limited=False).own["my/model"].output == Decimal("2.5")
    assert settings.price_book(limited=False).unknown == "warn"
    assert settings.price_book(limited=True).unknown == "refuse"
    assert load(unknown_price="zero").price_book(limited=True).unknown == "zero"


def test_a_key_is_not_shown() -> None:
    """Neither repr nor str of the settings holds the key."""
    settings = load(api_key="very-secret")
    assert "very-secret" not in repr(settings) + str(settings)


@pytest.mark.parametrize(
    "url",
    ["localhost:8000/v1", "http://", "ftp://x/v1", "http://h:99999/v1", "http://a b/v1", "http://[::1/v1"],
)
def test_a_base_url_that_is_none_is_named(url: str) -> None:
    """Before anything is sent, and not as a connection that failed."""
    with pytest.raises(SettingsError, match=r"^base_url: .*must begin with http://"):
        load(base_url=url)


@pytest.mark.parametrize(
    ("key", "sent"), [("sk-a\n", "sk-a"), ("sk-a\nb", None), ("キー", None), ("a\0b", None)]
)
def test_a_key_is_one_that_can_be_sent(monkeypatch: pytest.MonkeyPatch, key: str, sent: str | None) -> None:
    """The end of a file's line is left out; what no header can carry is refused, and not shown."""
    found = load(base_url="http://h/v1", api_key=key)
    if sent is not None:
        assert found.key() == sent
        return
    with pytest.raises(SettingsError, match=r"^api_key: the key has characters") as refused:
        found.key()
    assert key not in str(refused.value)


def test_a_change_of_settings_is_checked_as_they_are() -> None:
    """A session that is given settings and another address says what is wrong with it in the same words."""
    settings = load(base_url="http://h/v1", api_key="sk-a")
    other = changed(settings, base_url="http://other/v1", model=None)
    assert (other.base_url, other.model, other.key()) == ("http://other/v1", settings.model, "sk-a")
    with pytest.raises(SettingsError, match=r"^base_url: "):
        Session(settings=settings, base_url="other")
