"""The weights of local models: what is installed under KODO_HOME, and how a model gets there.

Nothing is imported here: `pip` is also used by scripts/checkout.py, before any dependency is installed.
"""
