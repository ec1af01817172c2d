"""Interactions of a small world: even users like even items, and each has taken all but one of its parity."""

from __future__ import annotations

from pathlib import Path


def write_interactions(path: Path, n_users: int) -> None:
    rows = [
        f"u{user},i{item},{1_000_000 + 100 * user + item}"
        for user in range(n_users)
        for item in range(user % 2, 16, 2)
        if item != (user % 8) * 2 + user % 2
    ]
    path.write_text("\n".join(["user_id,item_id,timestamp", *rows]))
