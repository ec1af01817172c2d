"""A film service with new films every week, as it exports ratings and films; the right answers are known.

    python examples/video/make.py [--viewers 800] [--films 400] [--seed 7]

A viewer likes some genres and dislikes others, which plots tell by their words; a film is watched mostly in its first
weeks. Writes data/ratings.csv (half stars), data/films.csv and data/truth.json: the error of the best possible guess of
a rating and of guessing the mean, in the newest tenth.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
from pathlib import Path

import numpy as np

GENRES = {
    "Crime": "heist detective alibi gang robbery informer",
    "Romance": "wedding letter kiss summer farewell promise",
    "Space": "orbit crew signal planet airlock android",
    "Comedy": "neighbour mistake disguise party uncle wager",
    "War": "trench convoy deserter bridge siege general",
    "Animals": "fox wolf harbour puppy island rescue",
}
EVERYDAY = ["a", "young", "old", "city", "family", "secret", "night", "day", "friend", "house"]
WEEKS, A_WEEK, NOISE = 30, 1.2, 0.5
START = datetime.datetime(2024, 1, 5, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=800)
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    shares = rng.dirichlet(np.full(len(GENRES), 0.3), options.films)  # [n_films, n_genres]
    released = np.sort(rng.uniform(-WEEKS, WEEKS, options.films))  # weeks
    taste = rng.normal(size=(options.viewers, len(GENRES)))
    truth = 3.2 + 0.9 * taste @ shares.T + 0.3 * rng.normal(size=options.films)  # [n_viewers, n_films]
    rows = []
    for viewer in range(options.viewers):
        left = np.ones(options.films, bool)
        for week in np.sort(rng.random(rng.poisson(A_WEEK * WEEKS)) * WEEKS):
            age = week - released
            weight = left * (age > 0) * np.exp2(-np.maximum(age, 0) / 6) * np.exp(truth[viewer] / 1.5)
            if weight.sum() > 0:
                film = int(rng.choice(options.films, p=weight / weight.sum()))
                left[film] = False
                stars = np.clip(np.round(2 * (truth[viewer, film] + NOISE * rng.normal())) / 2, 0.5, 5)
                rows.append((float(week), viewer, film, float(stars)))
    rows.sort()
    newest = rows[int(0.9 * len(rows)) :]
    given = np.array([row[3] for row in newest])
    best = np.array([np.clip(truth[viewer, film], 0.5, 5) for _, viewer, film, _ in newest])
    facts = {
        "ratings": len(rows),
        "rmse_of_the_truth": round(float(np.sqrt(np.mean((given - best) ** 2))), 4),
        "rmse_of_the_mean": round(float(given.std()), 4),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "ratings.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["viewer_id", "film_id", "rating", "watched_at"])
        for week, viewer, film, stars in rows:
            when = (START + datetime.timedelta(weeks=week)).isoformat(" ", "seconds")
            out.writerow([f"v{viewer}", f"f{film}", stars, when])
    with (options.output / "films.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["film_id", "title", "genres", "plot", "released"])
        names, words = list(GENRES), [text.split() for text in GENRES.values()]
        for film, share in enumerate(shares):
            drawn = [
                str(rng.choice(words[about] if rng.random() < 0.6 else EVERYDAY))
                for about in rng.choice(len(names), 16, p=share)
            ]
            genres = "|".join(name for name, part in zip(names, share, strict=True) if part > 0.25)
            when = (START + datetime.timedelta(weeks=float(released[film]))).date().isoformat()
            out.writerow(
                [f"f{film}", f"The {drawn[0].title()} {drawn[1].title()} ({film})", genres, " ".join(drawn), when]
            )
    (options.output / "truth.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
