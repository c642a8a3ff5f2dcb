"""kodo: the Codex API on your own machine, and the automation built on it.

Importing this package is cheap; names of the toolkit are loaded when first used.
"""

__version__ = "0.1.0"
