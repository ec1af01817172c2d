"""Every built-in `kind`, section by section, one line each; `config.py` resolves them when they are asked for."""

from __future__ import annotations

KINDS: dict[str, dict[str, str]] = {
    "data": {},
    "split": {},
    "features": {},
    "llm": {},
    "recommenders": {
        "ease": "genre.recommenders.ease:EASE",
    },
}
"""Section -> short name -> `module:Class`."""
