"""A newspaper's log of what was shown and clicked, in the form of MIND; the right answers are known.

    python examples/news/make.py [--readers 800] [--days 10] [--seed 7]

A reader cares for two of ten topics, whose words are in the texts, and for news of today. Each visit shows ten articles
of the last two days. Writes data/behaviors.tsv (impression, reader, time, history, shown articles with -1 for a click
and -0 for none), data/news.csv and data/truth.json: the AUC that the click probabilities themselves have in the newest
tenth.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
from pathlib import Path

import numpy as np

TOPICS = {
    "football": "goal league striker coach penalty stadium derby transfer defender cup",
    "elections": "ballot vote candidate coalition campaign poll turnout party debate mandate",
    "climate": "drought emissions glacier heatwave carbon flood wind solar coast forest",
    "courts": "judge verdict appeal witness trial lawyer sentence jury evidence charge",
    "health": "vaccine hospital clinic nurse trial virus surgery diet patient therapy",
    "space": "rocket orbit probe lunar telescope astronaut launch comet station crater",
    "economy": "inflation bank wages exports tariff budget jobs deficit rates market",
    "films": "festival director premiere actor screen script sequel award cinema studio",
    "traffic": "railway tunnel motorway cyclists tram delay bridge airport strike fares",
    "schools": "pupils teachers exams university classroom tuition campus degree reading lessons",
}
EVERYDAY = "city report plan week new local people official group change"
SHOWN, A_DAY, VISITS_A_DAY, CARED = 10, 40, 0.8, 2
START = datetime.datetime(2024, 9, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=800)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    n = options.days * A_DAY
    topic, published = rng.integers(0, len(TOPICS), n), np.sort(rng.random(n) * options.days)
    cares = np.array([rng.choice(len(TOPICS), CARED, replace=False) for _ in range(options.readers)])
    visits = [
        (now, reader)
        for reader in range(options.readers)
        for now in rng.random(rng.poisson(VISITS_A_DAY * options.days)) * (options.days - 1) + 1
    ]
    clicked: dict[int, list[int]] = {reader: [] for reader in range(options.readers)}
    lines, aucs = [], []
    for number, (now, reader) in enumerate(sorted(visits)):
        there = np.flatnonzero((published < now) & (published > now - 2))
        shown = rng.choice(there, SHOWN, replace=False)
        chance = np.where(np.isin(topic[shown], cares[reader]), 0.45, 0.04) * np.exp2(published[shown] - now)
        clicks = rng.random(SHOWN) < chance
        if clicks.any():
            marks = " ".join(f"N{item}-{int(click)}" for item, click in zip(shown, clicks, strict=True))
            history = " ".join(f"N{item}" for item in clicked[reader])
            lines.append(
                [number, f"R{reader}", f"{START + datetime.timedelta(days=now):%m/%d/%Y %I:%M:%S %p}", history, marks]
            )
            clicked[reader] += shown[clicks].tolist()
            if not clicks.all():
                pairs = np.subtract.outer(chance[clicks], chance[~clicks])
                aucs.append(float(np.mean((pairs > 0) + 0.5 * (pairs == 0))))
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "behaviors.tsv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter="\t").writerows(lines)
    with (options.output / "news.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["news_id", "category", "title", "abstract", "published"])
        for item, (about, day) in enumerate(zip(topic, published, strict=True)):
            own, plain = list(TOPICS.values())[about].split(), EVERYDAY.split()
            drawn = [str(rng.choice(own if rng.random() < 0.6 else plain)) for _ in range(18)]
            when = (START + datetime.timedelta(days=float(day))).isoformat(" ", "seconds")
            rows.writerow(
                [f"N{item}", list(TOPICS)[about], " ".join(drawn[:6]).capitalize(), " ".join(drawn[6:]), when]
            )
    facts = {"impressions": len(lines), "auc_of_the_truth": round(float(np.mean(aucs[int(0.9 * len(aucs)) :])), 4)}
    (options.output / "truth.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
