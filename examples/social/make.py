"""A network of friends who like the same posts, as its database exports it; the right answers are known.

    python examples/social/make.py [--members 1200] [--days 30] [--seed 7]

Members belong to circles of friends, of which a few friendships are missing and a few lead elsewhere. A circle cares
for three of many subjects that no text names, and its members like a post for about two weeks. Writes data/likes.csv,
data/posts.csv, data/friendships.csv (a row for each pair), data/shuffled.csv (as many pairs at random: a placebo) and
data/truth.json: what a list of ten finds if it knows the subjects.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

CIRCLE, CARES, SUBJECTS, POSTS_A_DAY, LIKES_A_DAY, HALF_LIFE = 8, 3, 60, 60, 0.8, 7.0
START = datetime.datetime(2024, 5, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=1200)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    circle = np.arange(options.members) // CIRCLE
    cares = np.array([rng.choice(SUBJECTS, CARES, replace=False) for _ in range(circle[-1] + 1)])[circle]
    subject = rng.integers(0, SUBJECTS, options.days * POSTS_A_DAY)
    posted = np.sort(rng.random(len(subject)) * options.days)  # days
    likes = list(likings(rng, cares, subject, posted, options.days))
    pairs = friendships(rng, circle)
    options.output.mkdir(parents=True, exist_ok=True)
    shuffled = np.column_stack([pairs[:, 0], rng.permutation(pairs[:, 1])])
    for name, some in (("friendships", pairs), ("shuffled", shuffled)):
        write(
            options.output / f"{name}.csv", ["member_id", "friend_id"], ([f"m{a}", f"m{b}"] for a, b in some.tolist())
        )
    write(
        options.output / "posts.csv", ["post_id", "posted_at"], ([f"p{at}", date(day)] for at, day in enumerate(posted))
    )
    rows = ([f"m{member}", f"p{post}", date(day)] for day, member, post in sorted(likes))
    write(options.output / "likes.csv", ["member_id", "post_id", "liked_at"], rows)
    facts = {"likes": len(likes), "recall@10_of_the_truth": recall(sorted(likes), cares, subject, posted)}
    (options.output / "truth.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    print(json.dumps(facts))


def likings(
    rng: np.random.Generator, cares: np.ndarray, subject: np.ndarray, posted: np.ndarray, days: int
) -> Iterable[tuple[float, int, int]]:
    """Time, member and post: new posts on the subjects of the member's circle."""
    for member, own in enumerate(cares):
        liked: set[int] = set()
        for now in np.sort(rng.random(rng.poisson(LIKES_A_DAY * days)) * days):
            weight = np.where(np.isin(subject, own), 1.0, 0.002) * np.exp2((posted - now) / HALF_LIFE) * (posted < now)
            if weight.sum() > 0 and (post := int(rng.choice(len(subject), p=weight / weight.sum()))) not in liked:
                liked.add(post)
                yield float(now), member, post


def friendships(rng: np.random.Generator, circle: np.ndarray) -> np.ndarray:
    """Pairs of members, both ways: three quarters of each circle, and some elsewhere. [n, 2]"""
    n = len(circle)
    inside = [(a, b) for a in range(n) for b in range(a + 1, n) if circle[a] == circle[b] and rng.random() < 0.75]
    pairs = np.concatenate([np.array(inside), rng.integers(0, n, (len(inside) // 5, 2))])
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)


def recall(likes: list[tuple[float, int, int]], cares: np.ndarray, subject: np.ndarray, posted: np.ndarray) -> float:
    """The mean share of a member's likes in the newest tenth that a list by subject and age finds."""
    newest = likes[int(0.9 * len(likes)) :]
    known = posted < newest[0][0]
    held: dict[int, set[int]] = {}
    for _, member, post in newest:
        held.setdefault(member, set()).add(post)
    before: dict[int, set[int]] = {}
    for _, member, post in likes[: int(0.9 * len(likes))]:
        before.setdefault(member, set()).add(post)
    found = []
    for member, own in held.items():
        score = (
            np.where(np.isin(subject, cares[member]), 1.0, 0.002) * np.exp2((posted - posted[-1]) / HALF_LIFE) * known
        )
        score[list(before.get(member, ()))] = 0
        found.append(len(own & set(np.argsort(-score)[:10].tolist())) / len(own))
    return round(float(np.mean(found)), 4)


def date(day: float) -> str:
    return (START + datetime.timedelta(days=float(day))).isoformat(" ", "seconds")


def write(path: Path, header: list[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


if __name__ == "__main__":
    main()
