"""A small world and a config of it: even users like even items, and each has taken all but one of its parity."""

from __future__ import annotations

from pathlib import Path

import genre


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


STORIES = """\
name: small
data: {kind: files, interactions: interactions.csv, items: items.csv}
split: {kind: leave-one-out}
recommenders: [{kind: ease, regularization: 5}, {kind: popularity}]
evaluation: {k: 3, metrics: [ndcg]}
output: {users: [u0], k: 3}
"""


def story_run(folder: Path) -> Path:
    """The folder of a run whose items have titles, made in `folder`; even users like even items."""
    pairs = [(user, item) for user in range(20) for item in range(user % 2, 16, 2) if item != (user % 8) * 2]
    rows = [f"u{user},i{item},{1_000_000 + 100 * user + item}" for user, item in pairs]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (folder / "items.csv").write_text("\n".join(["item_id,title", *(f"i{item},Story {item}" for item in range(16))]))
    (folder / "small.yaml").write_text(STORIES)
    return genre.run(folder / "small.yaml", runs=folder / "runs").folder
