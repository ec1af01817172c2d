from __future__ import annotations

from hypothesis import settings

settings.register_profile("genre", deadline=None, max_examples=60)  # the first example also pays for imports
settings.load_profile("genre")
