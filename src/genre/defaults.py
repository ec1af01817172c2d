"""Defaults that commands state before the options of any class are loaded."""

DEFAULT_K = 10
"""The length of a recommendation list where the caller gives none."""
