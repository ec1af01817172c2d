"""A small world and a config of it: even users like even items, and each has taken all but one of its parity."""

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


def small_config(recommender: str) -> str:
    """What is popular and one more recommender, such as `{kind: ease}`, on `interactions.csv` beside the config."""
    return f"""\
name: small
data: {{kind: files, interactions: interactions.csv}}
split: {{kind: leave-one-out}}
recommenders:
  - {{kind: popularity}}
  - {recommender}
evaluation: {{k: 3, metrics: [ndcg]}}
"""
