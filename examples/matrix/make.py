"""A rating matrix of 1,000 users x 10,000 items whose right answer is known.

    python examples/matrix/make.py [--users 1000] [--items 10000] [--density 0.02] [--seed 7]

A rating is a mean, a bias of the user and one of the item, the user's taste for the topics the item's text is made of,
a hidden part that no text tells, and noise, rounded to whole stars. Few cells are known, and more of some items. Writes
data/ratings.csv (the matrix), data/items.csv (the texts) and data/truth.json: the error of the best possible guess and
of guessing the mean.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

TOPICS = {
    "sea": "harbour tide captain storm sailor island lighthouse anchor whale voyage reef mutiny",
    "space": "orbit rocket planet astronaut comet station gravity signal nebula crater launch robot",
    "court": "judge trial verdict witness lawyer jury appeal evidence crime sentence prosecutor alibi",
    "kitchen": "recipe oven chef spice bakery feast harvest vineyard garlic bread pastry cellar",
    "music": "piano concert singer rhythm orchestra guitar melody stage record chorus violin tour",
    "mountain": "summit glacier climber avalanche ridge camp rope valley snow guide shelter cliff",
}
TASTE, HIDDEN, BIAS, NOISE = 0.75, 0.35, 0.3, 0.4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--density", type=float, default=0.02, help="share of the cells that are known")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    topics = rng.dirichlet(np.full(len(TOPICS), 0.25), options.items)  # [n_items, n_topics]
    truth = expected_ratings(rng, topics, options.users)  # [n_users, n_items]
    ratings = np.clip(np.round(truth + NOISE * rng.normal(size=truth.shape)), 1, 5)
    appeal = rng.permutation(1 / np.sqrt(1 + np.arange(options.items)))  # some items are rated by many
    known = rng.random(truth.shape) < np.minimum(options.density * appeal / appeal.mean(), 1)
    options.output.mkdir(parents=True, exist_ok=True)
    write_matrix(options.output / "ratings.csv", ratings, known)
    write_items(options.output / "items.csv", rng, topics)
    found, expected = ratings[known], np.clip(truth[known], 1, 5)
    facts = {
        "ratings": int(known.sum()),
        "rmse_of_the_mean": round(float(found.std()), 4),
        "rmse_of_the_truth": round(float(np.sqrt(np.mean((found - expected) ** 2))), 4),
    }
    (options.output / "truth.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(facts))


def expected_ratings(rng: np.random.Generator, topics: np.ndarray, n_users: int) -> np.ndarray:
    """The rating each user would give each item, but for noise. [n_users, n_items]"""
    n_items, n_topics = topics.shape
    taste = rng.normal(size=(n_users, n_topics)) @ (topics - topics.mean(0)).T
    hidden = rng.normal(size=(n_users, 3)) @ rng.normal(size=(3, n_items))
    biases = rng.normal(size=(n_users, 1)) + rng.normal(size=(1, n_items))
    return 3.4 + TASTE * taste / taste.std() + HIDDEN * hidden / hidden.std() + BIAS * biases


def write_matrix(path: Path, ratings: np.ndarray, known: np.ndarray) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["user", *(f"i{item}" for item in range(ratings.shape[1]))])
        for user, (stars, seen) in enumerate(zip(ratings.astype(int), known, strict=True)):
            rows.writerow([f"u{user}", *(star if shown else "" for star, shown in zip(stars, seen, strict=True))])


def write_items(path: Path, rng: np.random.Generator, topics: np.ndarray) -> None:
    words = [text.split() for text in TOPICS.values()]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["item_id", "title", "description"])
        for item, share in enumerate(topics):
            drawn = [str(rng.choice(words[topic])) for topic in rng.choice(len(words), 14, p=share)]
            rows.writerow([f"i{item}", f"The {drawn[0].title()}'s {drawn[1].title()}", " ".join(drawn[2:])])


if __name__ == "__main__":
    main()
