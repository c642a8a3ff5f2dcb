"""What a call did, as objects, before it is written down as source."""

from dataclasses import dataclass, field


@dataclass
class RawResult:
    """The raw result of a call, before it is written down."""

    result: object = None
    error: BaseException | None = None
    output: str = ""
    wrap: str = ""
    before: dict[str, str] = field(default_factory=dict)
    originals: dict[str, object] = field(default_factory=dict)
    skipped: list[int] = field(default_factory=list)
    has_begun: bool = False
    """Whether the inputs are made."""
    uncopied: bool = False
    """Whether there is no copy of an input as it was, so that nothing can be said of what a call did to it."""
