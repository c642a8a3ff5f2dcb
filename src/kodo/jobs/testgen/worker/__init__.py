"""The half of test generation that runs inside the sandbox: it alone imports the code under test.

Needs the standard library, msgspec, pytest and coverage. Takes one job as a file, writes JSON lines.
"""
