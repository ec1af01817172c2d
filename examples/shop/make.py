"""A shop whose customers buy again what they need, as its till exports it; the right answers are known.

    python examples/shop/make.py [--customers 600] [--weeks 40] [--seed 7]

A customer has six staples, each bought every so many weeks, and tries something else now and then. Products come in
pairs: with one of a pair the other is often in the same basket. Some purchases come back as negative quantities.
Writes data/sales.csv (semicolons, decimal commas, day first) and data/truth.json: the pairs, and what a list of ten
finds of the newest tenth of the lines if it knows how often each customer buys each product.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

THINGS = [
    "lantern",
    "mug",
    "candle",
    "ribbon",
    "clock",
    "basket",
    "plate",
    "towel",
    "frame",
    "vase",
    "lamp",
    "cushion",
    "bowl",
    "tray",
    "bell",
    "jug",
]
LOOKS = ["white", "red", "blue", "oak", "glass", "tin", "linen", "rose", "star", "heart", "vintage", "striped"]
STAPLES, TOGETHER, TRIES, RETURNED = 6, 0.5, 0.3, 0.02
START = datetime.datetime(2024, 1, 1, 8)
Line = tuple[datetime.datetime, int, int, int]  # time, customer, product, quantity


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=600)
    parser.add_argument("--weeks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "data")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    names = [f"{look} {thing}".upper() for look in LOOKS for thing in THINGS]
    order = rng.permutation(len(names)).reshape(-1, 2)
    partner = np.empty(len(names), np.int64)
    partner[order[:, 0]], partner[order[:, 1]] = order[:, 1], order[:, 0]
    appeal = 1 / (5 + rng.permutation(len(names)))
    appeal /= appeal.sum()
    rates = np.zeros((options.customers, len(names)))  # purchases a week
    for customer in range(options.customers):
        rates[customer, rng.choice(len(names), STAPLES, replace=False, p=appeal)] = 1 / rng.uniform(1.5, 6, STAPLES)
    lines = sorted(purchases(rng, rates, appeal, partner, options.weeks))
    expected = rates + TRIES * appeal
    expected = expected + TOGETHER * expected[:, partner]
    newest = lines[int(0.9 * len(lines)) :]
    facts = {
        "recall@10_of_the_truth": recall(expected, newest),
        "recall@10_of_popularity": recall(np.tile(expected.sum(axis=0), (len(rates), 1)), newest),
        "pairs": [[f"P{a:03}", f"P{b:03}"] for a, b in enumerate(partner.tolist()) if a < b],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    write_sales(options.output / "sales.csv", rng, lines, names)
    (options.output / "truth.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(len(lines), "lines;", {name: value for name, value in facts.items() if name != "pairs"})


def purchases(
    rng: np.random.Generator, rates: np.ndarray, appeal: np.ndarray, partner: np.ndarray, weeks: int
) -> Iterator[Line]:
    """What each customer buys each week, in one visit."""
    for customer, own in enumerate(rates):
        for week in range(weeks):
            bought = np.flatnonzero(rng.random(len(own)) < own)
            bought = np.append(bought, rng.choice(len(own), rng.poisson(TRIES), p=appeal))
            bought = np.append(bought, partner[bought[rng.random(len(bought)) < TOGETHER]])
            when = START + datetime.timedelta(days=7 * week + int(rng.integers(6)), minutes=int(rng.integers(600)))
            yield from ((when, customer, int(product), int(rng.integers(1, 5))) for product in np.unique(bought))


def recall(expected: np.ndarray, lines: list[Line]) -> float:
    """The mean share of a customer's products in `lines` that are among the ten most expected."""
    best = np.argsort(-expected, axis=1)[:, :10]
    held: dict[int, set[int]] = {}
    for _, customer, product, _ in lines:
        held.setdefault(customer, set()).add(product)
    return round(
        float(np.mean([len(own & set(best[customer].tolist())) / len(own) for customer, own in held.items()])), 4
    )


def write_sales(path: Path, rng: np.random.Generator, lines: list[Line], names: list[str]) -> None:
    prices = rng.integers(95, 1995, len(names))
    back = [(when + datetime.timedelta(days=3), *rest, -n) for when, *rest, n in lines if rng.random() < RETURNED]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=";")
        rows.writerow(["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"])
        for number, (when, customer, product, quantity) in enumerate(sorted([*lines, *back])):
            price = f"{prices[product] / 100:.2f}".replace(".", ",")
            invoice = f"{'C' * (quantity < 0)}{536000 + number}"
            code, person = f"P{product:03}", 12000 + customer
            rows.writerow([invoice, code, names[product], quantity, f"{when:%d/%m/%Y %H:%M}", price, person])


if __name__ == "__main__":
    main()
