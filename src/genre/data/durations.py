"""Durations in seconds, the unit of timestamps."""

from __future__ import annotations

HOUR, DAY = 3_600, 86_400
