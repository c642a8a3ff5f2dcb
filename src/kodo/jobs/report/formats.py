"""The table of output formats by name. A format's module is imported when it is used: some bring a library with them."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from kodo.jobs.report.model import ReviewReport

Render = Callable[[ReviewReport], str]


def _by(module: str) -> Render:
    def render(report: ReviewReport) -> str:
        text: str = import_module(f"kodo.jobs.report.{module}").render(report)
        return text

    return render


FORMATS: Mapping[str, Render] = MappingProxyType(
    {
        "text": _by("terminal"),
        "markdown": _by("markdown"),
        "json": _by("jsonfile"),
        "sarif": _by("sarif"),
        "rdjson": _by("rdjson"),
        "codequality": _by("codequality"),
        "junit": _by("junit"),
        "github": _by("github"),
        "problems": _by("problems"),
    }
)
"""Each renders a report to text that ends in a newline (or is empty)."""
