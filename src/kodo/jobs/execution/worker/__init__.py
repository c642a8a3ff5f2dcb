"""The half of execution that runs inside the sandbox: it alone imports the code under test.

Needs the standard library and msgspec.
"""
