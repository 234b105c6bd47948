"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# Machines are shared: a slow example says nothing about the code.
settings.register_profile("archbench", deadline=None)
settings.load_profile("archbench")
