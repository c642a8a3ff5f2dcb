"""The table of output formats by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kodo.jobs.report import codequality, github, jsonfile, junit, markdown, problems, rdjson, sarif, terminal
from kodo.jobs.report.model import ReviewReport

FORMATS: Mapping[str, Callable[[ReviewReport], str]] = MappingProxyType(
    {
        "text": terminal.render,
        "markdown": markdown.render,
        "json": jsonfile.render,
        "sarif": sarif.render,
        "rdjson": rdjson.render,
        "codequality": codequality.render,
        "junit": junit.render,
        "github": github.render,
        "problems": problems.render,
    }
)
"""Each renders a report to text that ends in a newline (or is empty)."""
