"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A busy machine makes a slow example, not a wrong one.
settings.register_profile("kodo", deadline=None)
settings.load_profile("kodo")
