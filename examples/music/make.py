"""Listeners who play what they love again, as a player's history is exported; the right answers are known.

    python examples/music/make.py [--listeners 400] [--days 60] [--seed 7]

A listener loves twelve tracks of two styles, plays some of them in each session, and hears others of those styles; love
fades: every few weeks one track of the twelve is replaced. Writes data/plays.csv (a row a play), data/tracks.csv (a row
for each tag of a track) and data/truth.json: what a list of ten finds in the newest tenth if it knows who loves what.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
from pathlib import Path

import numpy as np

STYLES = {
    "jazz": "saxophone swing trio blue-note ballad",
    "metal": "riff double-bass growl heavy loud",
    "folk": "fiddle acoustic ballad storytelling harmony",
    "techno": "club loop warehouse minimal bass",
    "classical": "strings concerto piano sonata choir",
    "hip hop": "beats rhyme sample flow bass",
}
LOVED, SESSIONS_A_DAY, PLAYS, ELSEWHERE, FADES_DAYS = 12, 0.5, 8, 0.25, 20
START = datetime.datetime(2024, 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listeners", type=int, default=400)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--tracks", type=int, default=600)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    style = rng.integers(0, len(STYLES), options.tracks)
    plays, loved_at_cut = [], {}
    cut = 0.9 * options.days
    for listener in range(options.listeners):
        own = np.flatnonzero(np.isin(style, rng.choice(len(STYLES), 2, replace=False)))
        loved, faded = rng.choice(own, LOVED, replace=False), 0.0
        for begin in np.sort(rng.random(rng.poisson(SESSIONS_A_DAY * options.days)) * options.days):
            while begin > faded + FADES_DAYS:
                faded += FADES_DAYS
                loved[rng.integers(LOVED)] = rng.choice(own)
            if begin < cut:
                loved_at_cut[listener] = loved.copy()
            for at in range(rng.poisson(PLAYS)):
                track = rng.choice(own) if rng.random() < ELSEWHERE else rng.choice(loved)
                plays.append((float(begin) + 4 * at / 1440, listener, int(track)))
    plays.sort()
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "plays.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["listener", "track", "played_at"])
        for day, listener, track in plays:
            rows.writerow(
                [f"l{listener}", f"t{track}", (START + datetime.timedelta(days=day)).isoformat(" ", "seconds")]
            )
    with (options.output / "tracks.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["track", "title", "tag"])
        for track, about in enumerate(style):
            name, words = list(STYLES.items())[about]
            for tag in [name, *rng.choice(words.split(), 2, replace=False)]:
                rows.writerow([f"t{track}", f"Track {track}", tag])
    newest = plays[int(0.9 * len(plays)) :]
    held: dict[int, set[int]] = {}
    for _, listener, track in newest:
        held.setdefault(listener, set()).add(track)
    shares = [
        len(own & set(loved_at_cut[one][:10].tolist())) / len(own) for one, own in held.items() if one in loved_at_cut
    ]
    facts = {"plays": len(plays), "recall@10_of_the_truth": round(float(np.mean(shares)), 4)}
    (options.output / "truth.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
