"""Messages in two languages."""

from __future__ import annotations

import pytest

from kodo.client.i18n import CLIENT, Catalogue, counted, pick_lang


def test_the_language_is_asked_for_then_set_then_the_locales(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument, KODO_LANG, locale, English."""
    assert pick_lang() == "en"
    monkeypatch.setenv("LANG", "ja_JP.UTF-8")
    assert pick_lang() == "ja"
    monkeypatch.setenv("KODO_LANG", "en")
    assert pick_lang() == "en"
    assert pick_lang("ja") == "ja"


def test_an_unknown_language_is_named() -> None:
    """Only en and ja are there."""
    with pytest.raises(ValueError, match="'fr'"):
        pick_lang("fr")


def test_a_catalogue_says_a_message_in_both_languages() -> None:
    """Fields are filled in, in either language."""
    assert CLIENT.say("en", "masked", kinds="aws key id") == "masked before sending: aws key id"
    assert "aws key id" in CLIENT.say("ja", "masked", kinds="aws key id")


def test_translations_must_have_the_same_fields() -> None:
    """A field that one language forgot is found when the catalogue is made."""
    with pytest.raises(ValueError, match="greeting"):
        Catalogue({"greeting": ("hello {name}", "こんにちは")})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 findings, 2 tests", "1 finding, 2 tests"),
        ("possible bugs: 1 documented facts that", "possible bugs: 1 documented fact that"),
        ("11 calls, 1 calls, 0 calls", "11 calls, 1 call, 0 calls"),
        ("0.1 models, 2,1 models", "0.1 models, 2,1 models"),
        ("1 findings of ignored rules are not shown", "1 finding of ignored rules is not shown"),
        ("2 files are left out, 1 files are kept", "2 files are left out, 1 file is kept"),
        ("1 findings count, 0 are open", "1 finding counts, 0 are open"),
    ],
)
def test_a_count_of_one_has_its_noun_in_the_singular(text: str, said: str) -> None:
    """And no other number that ends in one; a catalogue says so by itself, in English."""
    assert counted(text) == said
    catalogue = Catalogue({"found": ("{n} models", "{n} models")})
    assert catalogue.say("en", "found", n=1) == "1 model"
    assert catalogue.say("ja", "found", n=1) == "1 models"
