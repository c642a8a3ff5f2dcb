"""``kodo fix``: a patch that is shown to fix one fault.

The public names: ``fix``, the request, the options and the report. How a fix is proven is in ``proof``.
"""

from kodo.jobs.fix.job import fix, stored_request
from kodo.jobs.fix.model import FixError, FixOptions, FixReport, FixRequest, Verdict, run_folder
from kodo.jobs.fix.render import FORMATS
from kodo.jobs.fix.workspace import WorkspaceError

__all__ = [
    "FORMATS",
    "FixError",
    "FixOptions",
    "FixReport",
    "FixRequest",
    "Verdict",
    "WorkspaceError",
    "fix",
    "run_folder",
    "stored_request",
]
