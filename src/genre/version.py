"""The version of GENRE, read by the packaging and written into every run."""

from __future__ import annotations

__version__ = "0.1.0"
