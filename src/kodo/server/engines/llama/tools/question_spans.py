"""The parts of a question that a call's argument may be: addresses, paths, names, what stands in quotes, numbers.

Every span has a shape, and the words beside it: "branch" before ``develop``, "days" behind 3, から behind 東京. English and
Japanese; a Japanese span ends where hiragana begins, which is mostly grammar.

Knows text; knows nothing of tools or schemas.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Iterator

from msgspec import Struct

MAX_QUESTION = 4_000
"""Characters of a question that are read."""
MAX_SPANS = 64

NUMBER_WORDS = (
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_KANJI_KATAKANA = "\u30a1-\u30fa\u30fc\u30fb\u3400-\u9fff\u3005"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_MONTHS = (
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
)
_MONTH = "(?:" + "|".join(f"{name[0].upper()}{name[1:3]}(?:{name[3:]})?" for name in _MONTHS) + r")\.?"
_DATE = (
    rf"\b\d{{4}}[-/]\d{{1,2}}[-/]\d{{1,2}}(?!\d)|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}\b"
    rf"|\b\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH},? \d{{4}}\b"
)
_SHAPES: tuple[tuple[str, str], ...] = (
    ("url", r"https?://[^\s\u3000-\u303f\u3040-\u30ff\u3400-\u9fff\"'<>`]+"),
    ("email", r"[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"),
    ("quoted", r"「[^」]+」|『[^』]+』|“[^”]+”|\"[^\"]+\"|(?<!\w)'[^']+'(?!\w)"),
    ("code", r"`[^`]+`"),
    (
        "sql",
        r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\b[^\u3000-\u30ff\u3400-\u9fff]*[^\s.?!\u3000-\u30ff\u3400-\u9fff]",
    ),
    ("list", r"\[[^\[\]]*\]"),
    ("date", _DATE),
    ("time", r"\b\d{1,2}:\d{2}(?!\d)"),
    ("expression", r"[(\d][\d\s.()]*(?:[-+*/^%]\s*[\d\s.()]+)+(?<=[\d)])"),
    ("glob", r"(?:[\w./-]*\*[\w./*-]*\w)"),
    (
        "path",
        r"~?(?:[A-Za-z0-9_.@-]+)?(?:/[A-Za-z0-9_.@-]*[A-Za-z0-9_@-])+/?|\b[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.[a-z]{1,5}\b(?!\()",
    ),
    ("channel", r"(?<![\w#])#[A-Za-z_][\w-]*"),
    ("handle", r"(?<![\w@])@[A-Za-z_]\w*"),
    (
        "number",
        rf"(?<=[$€£]){_DIGITS}[kKM]\b|(?<![\w.-])-?{_DIGITS}(?:st|nd|rd|th| [mb]illion)?(?![A-Za-z_]|\.\d|-\w)",
    ),
    (
        "identifier",
        r"\b[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)+\b|\b[a-z]+[A-Z]\w*\b|\b[A-Z][A-Z0-9]+\b(?! [A-Z])|\b[A-Za-z]+\d\w*\b",
    ),
    (
        "proper",
        r"\b(?:(?:[A-Z]\.){2,}|[A-Z][\w'’-]*)"
        r"(?: (?:(?:of|de|la|van|von|the) )?(?:(?:[A-Z]\.){2,}|[A-Z][\w'’-]*|\d+\b(?![/:-]))|, [A-Z][\w'’-]*)*",
    ),
    ("japanese", rf"[{_KANJI_KATAKANA}]+"),
    ("number_word", r"\b(?:" + "|".join(NUMBER_WORDS) + r")\b"),
    ("words", r"[a-z][\w'’-]*"),
)
_SPAN = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _SHAPES), re.ASCII)
_TYPED = frozenset({"url", "email", "date", "time", "glob", "path"})
_PHRASES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("tail", re.compile(r"[:：]\s+(?P<text>[^:：「『\"'`]+?)[\s.。]*$")),
    (
        "marked",
        re.compile(
            r"\b(?:titled?|called|named|subject)\s+(?P<text>[^\s\"'“`「『,.][^\"“`「『,.]*?)"
            r"(?= (?:to|on|in|at|with|for|by|from|and)\b|[,.;。]|$)",
            re.IGNORECASE,
        ),
    ),
    (
        "marked",
        re.compile(
            r"\b(?:message|text|content|saying|says)\s+(?P<text>[^\s\"'“`「『][^\"“`「『]*?)(?= (?:to|on)\b|[.;。]|$)",
            re.IGNORECASE,
        ),
    ),
    ("clause", re.compile(r"\bto (?P<text>[a-z][\w'’-]*(?: [\w'’-]+)+?)(?= (?:in|at|by|on) \d|[,.!?]|$)")),
)
"""Longer spans, which stand beside the others: behind a colon, behind a word that says what follows, an infinitive."""
_WORD = re.compile(r"[\w'’-]+", re.ASCII)
_NUMBER = re.compile(r" \d")
_NUMBER_PARTS = re.compile(r"(?P<digits>-?[\d,]+(?:\.\d+)?)(?P<unit>st|nd|rd|th|[kKM]| [mb]illion|)")
_FACTORS = {"k": 1_000, "K": 1_000, "M": 1_000_000, "million": 1_000_000, "billion": 1_000_000_000}
_QUOTES = "「」『』“”\"'`"
_BREAKERS = frozenset(
    [
        "a",
        "about",
        "all",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "ask",
        "at",
        "be",
        "below",
        "between",
        "bring",
        "by",
        "calculate",
        "called",
        "can",
        "can't",
        "check",
        "compute",
        "could",
        "create",
        "delete",
        "determine",
        "did",
        "display",
        "do",
        "does",
        "don't",
        "down",
        "ensure",
        "estimate",
        "execute",
        "find",
        "first",
        "for",
        "found",
        "from",
        "gave",
        "get",
        "give",
        "given",
        "go",
        "has",
        "have",
        "how",
        "i",
        "i'd",
        "i'm",
        "in",
        "into",
        "is",
        "it",
        "its",
        "know",
        "last",
        "let",
        "like",
        "look",
        "made",
        "mail",
        "make",
        "me",
        "more",
        "most",
        "move",
        "my",
        "named",
        "names",
        "need",
        "next",
        "obtain",
        "of",
        "off",
        "on",
        "onto",
        "open",
        "or",
        "order",
        "our",
        "out",
        "over",
        "per",
        "play",
        "please",
        "possible",
        "post",
        "provide",
        "put",
        "read",
        "recommended",
        "remove",
        "retrieve",
        "run",
        "search",
        "send",
        "set",
        "should",
        "show",
        "so",
        "some",
        "something",
        "tell",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "this",
        "titled",
        "to",
        "under",
        "up",
        "use",
        "using",
        "want",
        "was",
        "we",
        "what",
        "what's",
        "when",
        "where",
        "which",
        "who",
        "whose",
        "why",
        "will",
        "with",
        "within",
        "without",
        "would",
        "write",
        "you",
        "your",
    ]
)
"""Words that a phrase does not go over."""


def number_of(text: str) -> int | float | None:
    """The number that a span is: ``1,200``, ``18th``, ``1.2M``, ``3 million``, ``five``; None if it is none."""
    if text in NUMBER_WORDS:
        return NUMBER_WORDS.index(text) + 1
    match = _NUMBER_PARTS.fullmatch(text)
    if match is None:
        return None
    value = float(match["digits"].replace(",", "")) * _FACTORS.get(match["unit"].strip(), 1)
    return int(value) if value.is_integer() and ("." not in match["digits"] or match["unit"]) else value


def date_of(text: str) -> str | None:
    """The day that a span is, as YYYY-MM-DD; None if it is none."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    name = re.search(r"[A-Za-z]{3,}", re.sub(r"(?<=\d)(?:st|nd|rd|th)|\bof\b", "", text))
    if name is not None and len(numbers) == 2:
        month = 1 + [month[:3] for month in _MONTHS].index(name[0][:3].lower())
        year, day = max(numbers), min(numbers)
    elif len(numbers) == 3:
        year, month, day = numbers
    else:
        return None
    with contextlib.suppress(ValueError):
        return datetime.date(year, month, day).isoformat()
    return None


class Span(Struct, frozen=True):
    """A part of a question. ``before`` and ``behind``: what stands on either side of it, in small letters."""

    text: str
    shape: str
    start: int
    before: str = ""
    behind: str = ""

    @property
    def previous_words(self) -> tuple[str, ...]:
        """The last English words before it, back to a comma or the end of a sentence, the nearest first."""
        clause = re.split(r"[,;.!?]", self.before)[-1]
        return tuple(reversed(re.findall(r"[a-z]+", clause)))

    @property
    def next_words(self) -> tuple[str, ...]:
        """The English words behind it, up to a comma or the end of a sentence."""
        return tuple(re.findall(r"[a-z]+", re.split(r"[,;.!?]", self.behind)[0]))


def question_spans(question: str) -> tuple[Span, ...]:
    """The spans of a question, as they stand in it; the longer ones behind the others."""
    question = question[:MAX_QUESTION]
    spans: list[Span] = []
    for shape, start, end in _merged(question):
        _add(spans, question, *_inside(question[start:end], shape), start, end)
    for shape, pattern in _PHRASES:
        for match in pattern.finditer(question):
            _add(spans, question, match["text"], shape, match.start("text"), match.end("text"))
    return tuple(spans[:MAX_SPANS])


def _inside(text: str, shape: str) -> tuple[str, str]:
    """A span's own text and shape: without its quotes, which may hold a path; without the sentence's full stop."""
    if shape in ("quoted", "code"):
        text = text.strip(_QUOTES)
        inside = _SPAN.fullmatch(text)
        if inside is not None and inside.lastgroup in _TYPED:
            shape = inside.lastgroup
    if shape in ("url", "path"):
        text = text.rstrip(".,;:!?)")
    return (text.removesuffix("'s").removesuffix("’s") if shape in ("proper", "identifier") else text), shape


def _add(spans: list[Span], question: str, text: str, shape: str, start: int, end: int) -> None:
    if text.strip():
        before, behind = question[max(start - 40, 0) : start].lower(), question[end : end + 20].lower()
        spans.append(Span(text.strip(), shape, start, before, behind))


def _merged(question: str) -> Iterator[tuple[str, int, int]]:
    """Shapes with their places; plain words side by side are one phrase."""
    phrase: tuple[int, int] | None = None
    for shape, start, end in _scanned(question):
        plain = shape == "words" and question[start:end].lower() not in _BREAKERS
        if plain and phrase is not None and question[phrase[1] : start] == " ":
            phrase = (phrase[0], end)
            continue
        if phrase is not None:
            yield "words", *phrase
            phrase = None
        if plain:
            phrase = (start, end)
        elif shape != "words":
            yield shape, start, end
    if phrase is not None:
        yield "words", *phrase


def _scanned(question: str) -> Iterator[tuple[str, int, int]]:
    """Shapes with their places; the first word of a sentence is no name, though it has a capital."""
    position = 0
    while match := _SPAN.search(question, position):
        shape, start, end = match.lastgroup or "words", match.start(), match.end()
        if shape == "proper" and _begins_sentence(question, start):
            word = _WORD.match(question, start)
            if word is not None and (
                word.end() == end or word[0].lower() in _BREAKERS or _NUMBER.match(question, word.end())
            ):
                shape, end = "words", word.end()
        yield shape, start, end
        position = end


def _begins_sentence(question: str, start: int) -> bool:
    before = question[:start].rstrip()
    return not before or before[-1] in ".!?。"
