"""Small files as three trades export them: a shop's till, a music app's log, a newspaper's clicks."""

from __future__ import annotations

import json
import random
from pathlib import Path


def write_shop(folder: Path) -> list[str]:
    """Semicolons, decimal commas, day first, titles in the one table."""
    draw = random.Random(7)
    things = {
        "Kitchen": ("mug", "kettle", "tray"),
        "Garden": ("spade", "pot", "hose"),
        "Toys": ("robot", "kite", "train"),
    }
    products = [
        (f"{look} {thing}", kind, price)
        for kind, names in things.items()
        for thing in names
        for look, price in (("Red", "4,95"), ("Blue", "12,50"))
    ]
    lines = ["Order;Customer;Product;Product name;Category;Unit price;Quantity;Order date"]
    for order in range(500):
        customer, day = draw.randrange(50), order // 3
        own = [at for at, (_, kind, _) in enumerate(products) if kind == list(things)[customer % 3]]
        for at in sorted({draw.choice(own), draw.choice(own), draw.randrange(len(products))}):
            name, kind, price = products[at]
            when = f"{1 + day % 28:02}.{1 + day // 28 % 12:02}.2025 {9 + order % 9:02}:{order % 60:02}"
            lines.append(f"{10000 + order};K{customer:03};P{at:03};{name};{kind};{price};{draw.randint(1, 3)};{when}")
    (folder / "sales.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["sales.csv"]


def write_music(folder: Path) -> list[str]:
    """Lines of JSON with seconds since 1970, and a table of tracks."""
    draw = random.Random(8)
    plays = []
    for at in range(1500):
        user = draw.randrange(50)
        track = (user % 3) * 8 + min(7, int(draw.expovariate(0.3))) if draw.random() < 0.85 else draw.randrange(24)
        time = 1_735_000_000 + at * 600 + draw.randrange(500)
        plays.append(json.dumps({"user": f"u{user}", "track": f"t{track}", "played_at": time}))
    (folder / "plays.jsonl").write_text("\n".join(plays) + "\n", encoding="utf-8")
    names, artists, genres = (
        ("Night", "River", "Glass"),
        ("The Owls", "Delta Trio", "Prism"),
        ("jazz", "folk", "techno"),
    )
    tracks = [f"t{t},{names[t // 8]} song {t % 8},{artists[t // 8]},{genres[t // 8]}" for t in range(24)]
    (folder / "tracks.csv").write_text("\n".join(["track,title,artist,genre", *tracks]) + "\n", encoding="utf-8")
    return ["plays.jsonl", "tracks.csv"]


def write_news(folder: Path) -> list[str]:
    """Tabs, times as ISO 8601, articles that are read for some days only."""
    draw, topics = random.Random(9), ("football", "elections", "weather")
    lines = ["reader\tarticle\theadline\tsection\tclicked"]
    for at in range(1500):
        reader = draw.randrange(50)
        topic = reader % 3 if draw.random() < 0.8 else draw.randrange(3)
        article = max(0, min(17, at // 80 - draw.randrange(4))) * 3 + topic
        when = f"2025-03-{1 + at // 60:02}T{at // 3 % 24:02}:{at % 60:02}:00"
        lines.append(f"r{reader}\ta{article}\t{topics[topic].title()} report {article}\t{topics[topic]}\t{when}")
    (folder / "clicks.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["clicks.tsv"]
