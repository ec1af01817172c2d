"""How good each recommender is on public data, beside what is published for the same files.

    OMP_NUM_THREADS=1 python benchmarks/quality.py --data ../shared/data [--rows beauty gowalla ...] [--search]

`quality_measures.py` says what a row measures, and its `PROTOCOLS` what is learnt from and counted. Options stand in
`ROWS`: chosen on the validation part by `--search` where a row states a grid, which prints the grid's validation values;
elsewhere by a few trials there, or defaults. Finished rows are kept in `quality.json` beside this file, and
`quality.md` is written anew after each row, so that an interrupted run loses one row at most.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

from datasets import machine
from published import DualEASE
from quality_measures import CONTENDERS, NETWORKS, PROTOCOLS, TIMED, Cold, Found, OverTime, Ranking, Ratings, Row

from genre.features.embedding import Embedding
from genre.features.tfidf import TfIdf
from genre.recommenders.als import ALS
from genre.recommenders.blend import Blend
from genre.recommenders.bpr import BPR
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.ease_neighbours import EASENeighbours
from genre.recommenders.item_knn import ItemKNN
from genre.recommenders.mlp import MLP
from genre.recommenders.ranker import Ranker
from genre.recommenders.rating_factors import RatingFactors
from genre.recommenders.sasrec import SASRec
from genre.recommenders.shared_words import SharedWords
from genre.recommenders.smoothed import Smoothed
from genre.recommenders.transitions import Transitions

KEPT, PAGE = (Path(__file__).with_name(f"quality.{ending}") for ending in ("json", "md"))
MEANT = {"train": "train", "published train": "the published train part"}

# --- the rows -------------------------------------------------------------------------------------------

BEAUTY_TRANSITIONS = Transitions(source_power=0.35, target_power=0.15)
BEAUTY_BLEND = Blend(
    (BEAUTY_TRANSITIONS, Content(history_half_life=3), SharedWords(history_half_life=3), Smoothed(BEAUTY_TRANSITIONS))
)
BEAUTY_READER = SASRec(items="text_start", learning_rate=3e-3, epochs=6, dropout=0.5, max_length=50)
NEAR_TRANSITIONS = replace(BEAUTY_TRANSITIONS, history_half_life=1.5)
NEAR = (  # the members that `genre init` writes for it, without its network
    NEAR_TRANSITIONS,
    Content(history_half_life=1.5),
    Smoothed(NEAR_TRANSITIONS, history_half_life=1.5),
    SharedWords(),
)
QUICK_READER = SASRec(
    items="text_start",
    learning_rate=3e-3,
    schedule="cosine",
    epochs=8,
    dropout=0.3,
    max_length=50,
    loss="sampled",
    negatives=1024,
)
WALK = ItemKNN(similarity="rp3beta", neighbours=1000, alpha=0.6, beta=0.3, history_half_life=1.5)
TUNED_ALS = ALS(factors=64, regularization=30, alpha=20)
YELP_KNN = ItemKNN(neighbours=500, shrinkage=10, history_half_life=20)
YELP_TRANSITIONS = Transitions(
    target_power=0.1, history_half_life=15, distance_power=0.1, backward=1.0, source_power=0.35
)
BEAUTY_EASE = EASE(regularization=300, history_half_life=1.5)
BEAUTY_WITHOUT_TEXTS = BEAUTY_TRANSITIONS, BEAUTY_EASE, ItemKNN(history_half_life=1)
BEAUTY_SASREC = SASRec(dropout=0.5, max_length=50, epochs=20)
ML_1M_SASREC = SASRec(learning_rate=2e-3, epochs=20)
FOUND_HERE = "seen with plain code"

# a small alpha leaves popular items longer factors, which ranks new items among all better and among themselves worse
COLD_BEAUTY = Content(recommender=ALS(factors=128, alpha=3, regularization=1), regularization=10)
COLD_FILMS = Content(recommender=ALS(factors=64, alpha=0.5), lift=1.3)
DRAWN_BEAUTY = ALS(factors=128, alpha=3, regularization=1, feature_weight=1)
DRAWN_FILMS = ALS(factors=64, alpha=0.5, feature_weight=1)
EPOCHS_ML_1M = "20 epochs: validation still rose slowly at 18, where its only search was stopped to save time."
ROWS: tuple[Row, ...] = (
    Ranking(
        "amazon-beauty",
        "transitions",
        BEAUTY_TRANSITIONS,
        {"ndcg@10": 0.052},
        f"{FOUND_HERE} .0529",
        {"source_power": (0.25, 0.35, 0.5, 0.65), "target_power": (0.05, 0.1, 0.15, 0.25, 0.35)},
    ),
    Ranking(
        "amazon-beauty",
        "ease",
        BEAUTY_EASE,
        {"ndcg@10": 0.045},
        f"{FOUND_HERE} .0386 to .0454",
        {"regularization": (100.0, 300.0), "history_half_life": (1.0, 1.5, 3.0, 5.0)},
    ),
    Ranking(
        "amazon-beauty",
        "sasrec",
        BEAUTY_SASREC,
        {"ndcg@10": 0.050},
        "SASRec BCE .0318, sampled softmax .0531; BSARec .0610",
        why="20 epochs: the best of 25 on validation, .0656 there; its seconds from train alone are of a machine that others loaded.",
    ),
    Ranking(
        "amazon-beauty",
        "blend with text",
        Blend((BEAUTY_TRANSITIONS, BEAUTY_EASE, Content(history_half_life=3))),
        {"ndcg@10": 0.058},
        f"{FOUND_HERE}, with attributes, .0562",
    ),
    Ranking(
        "amazon-beauty",
        "ranker over a blend",
        Ranker(BEAUTY_BLEND),
        {"ndcg@10": None, "recall@10": None},
        "BSARec .0610, recall@10 .1002; OneRec recall@10 .0924",
        seeds=3,
        why="options of the ranker are its defaults, weights of the blend by validation; .0897 / .1450 there, .0887 / .1434 with a second stage that reads no texts.",
    ),
    Ranking(
        "amazon-beauty",
        "ranker over a blend with sasrec of titles",
        Ranker(Blend((*BEAUTY_BLEND.recommenders, BEAUTY_READER))),
        {"ndcg@10": None, "recall@10": None},
        "BSARec .0610, recall@10 .1002; OneRec recall@10 .0924",
        seeds=3,
        why="`items: text_start`: its item vectors start at those of the titles, so six epochs do; .0928 / .1507 on 8,000 users of validation, where one third of the learning rate has .0918 / .1495.",
    ),
    Ranking(
        "amazon-beauty",
        "best: ranker over a blend with two sasrec of titles",
        Ranker(Blend((*NEAR, QUICK_READER, replace(QUICK_READER, seed=1)))),
        {"ndcg@10": 0.080, "recall@10": 0.130},
        "BSARec .0610, recall@10 .1002; OneRec recall@10 .0924",
        seeds=3,
        refit=False,
        why="the members that `genre init` writes, and two networks of different seeds that draw 1,024 items a step: the best on validation, .0934 / .1521 on the same 8,000 users; one of them alone has .0932 / .1524 there (decision 220).",
    ),
    Ranking(
        "amazon-beauty, without texts",
        "ranker over a blend",
        Ranker(Blend(BEAUTY_WITHOUT_TEXTS)),
        {"ndcg@10": 0.061},
        "BSARec .0610",
        refit=False,
    ),
    Ranking(
        "amazon-beauty, without texts",
        "ranker over a blend with sasrec",
        Ranker(Blend((*BEAUTY_WITHOUT_TEXTS, BEAUTY_SASREC))),
        {"ndcg@10": 0.061},
        "BSARec .0610",
        refit=False,
        why="a first run of this model on validation, with the seeds of the networks it has now, found .0796 / .1270 there.",
    ),
    Ranking(
        "amazon-beauty, titles shuffled",
        "ranker over a blend",
        Ranker(BEAUTY_BLEND),
        {"ndcg@10": None},
        "none; placebo for that ranker",
        refit=False,
    ),
    Ranking(
        "amazon-beauty, titles shuffled",
        "ranker over a blend with sasrec of titles",
        Ranker(Blend((*BEAUTY_BLEND.recommenders, BEAUTY_READER))),
        {"ndcg@10": None},
        "none; placebo for that ranker",
        refit=False,
    ),
    Ranking(
        "yelp",
        "blend",
        Blend((YELP_TRANSITIONS, YELP_KNN, ALS(factors=64))),
        {"ndcg@10": 0.018},
        "SASRec .0136; HGN .0159; S3-Rec .0168",
        why="als, the larger part of the blend, is untuned; of 30,431 targets 2,027 stand in the history and are misses; the test was read again when these began to count.",
    ),
    Ranking(
        "yelp",
        "best: ranker over a blend",
        Ranker(Blend((YELP_TRANSITIONS, YELP_KNN, TUNED_ALS))),
        {"ndcg@10": 0.018},
        "SASRec .0136; HGN .0159; S3-Rec .0168",
        seeds=3,
        refit=False,
        why="the best of 45 configs on 2,000 users of validation (`benchmarks/handmade/yelp.tsv`), .0363 there, where the best blend has .0304.",
    ),
    Ranking("ml-1m", "ease", EASE(regularization=300), {"ndcg@10": 0.340}, ".299, tuned .341; infinite-AE .328"),
    Ranking(
        "ml-1m",
        "blend",
        Blend(
            (
                EASE(regularization=700),
                ALS(factors=128, regularization=50, alpha=3),
                BPR(factors=128),
                BPR(factors=128, loss="softmax", regularization=0.1),
            )
        ),
        {"ndcg@10": 0.350},
        "MF .257; LightGCN .289",
        why="the best on validation of five blends, members by a few trials there; a first one (ease, als, item_knn, none "
        "searched) had been read on the test, too: .3453.",
    ),
    Ranking(
        "ml-100k u1",
        "blend",
        Blend((EASE(regularization=300), ALS(factors=32, regularization=5), ItemKNN(shrinkage=20))),
        {"ndcg@10": 0.455},
        "ALS + ItemKNN by reciprocal rank .455",
    ),
    Ratings("rating_factors", RatingFactors(), {"rmse": 0.915}, "SVD .934; SVD++ .919; the best about .89"),
    Ratings(
        "mlp, defaults",
        MLP(),
        {"rmse": 0.935},
        "SVD .934; SVD++ .919",
        why="`benchmarks/ml100k.py --kinds mlp` measured the same model: .9272.",
    ),
    Cold("amazon-beauty", Content(), Embedding(threads=1), "content alone, MiniLM"),
    Cold("ml-1m", Content(), TfIdf(dim=256), "content alone, TF-IDF"),
    Cold("ml-1m", Content(), Embedding(threads=1), "content alone, MiniLM"),
    Cold("amazon-beauty", COLD_BEAUTY, Embedding(threads=1), "content, MiniLM to factors"),
    Cold("ml-1m", COLD_FILMS, TfIdf(dim=256), "content, TF-IDF to factors"),
    Cold("ml-1m", COLD_FILMS, Embedding(threads=1), "content, MiniLM to factors"),
    Cold("amazon-beauty", DRAWN_BEAUTY, Embedding(threads=1), "als, MiniLM draws factors"),
    Cold("ml-1m", DRAWN_FILMS, TfIdf(dim=256), "als, TF-IDF draws factors"),
    Cold("ml-1m", DRAWN_FILMS, Embedding(threads=1), "als, MiniLM draws factors"),
    *(OverTime(name, tuple(kind for kind in CONTENDERS if kind not in NETWORKS)) for name in TIMED),
    *(OverTime(name, ("blend",)) for name in TIMED),
    Ranking("ml-1m-ordered", "sasrec", ML_1M_SASREC, {"ndcg@10": 0.080}, "RecTools' SASRec .077", why=EPOCHS_ML_1M),
    Ranking(
        "ml-1m-ordered",
        "best: blend with sasrec",
        Blend((ML_1M_SASREC, Transitions(history_half_life=1.5), EASE(regularization=1000, history_half_life=1.5))),
        {"ndcg@10": 0.080},
        "RecTools' SASRec .077",
        refit=False,
        why="the members of the best of 59 configs on 2,000 users of validation (`benchmarks/handmade/ml-1m-ordered.tsv`), with the network of the row above.",
    ),
    Ranking(
        "ml-1m-ordered, ties reshuffled",
        "sasrec",
        ML_1M_SASREC,
        {"ndcg@10": 0.080},
        "none",
        why="the options of the row above.",
    ),
    Ranking(
        "beauty-bert4rec",
        "sasrec",
        SASRec(loss="sampled", negatives=2048, power=0.75, dropout=0.5, max_length=50, epochs=20),
        {"ndcg@10": 0.033},
        "BERT4Rec .0187; SASRec BCE .0126, CE .0327; RecTools .0359",
        why="the options of amazon-beauty; sampled softmax, for the whole catalogue costs an hour; 2,048 items drawn, on validation .0386, where the default 512 had .0350.",
    ),
    Ranking(
        "beauty-bert4rec",
        "best: ranker over a blend",
        Ranker(Blend((NEAR_TRANSITIONS, WALK, TUNED_ALS))),
        {"ndcg@10": 0.033},
        "BERT4Rec .0187; SASRec BCE .0126, CE .0327; RecTools .0359",
        seeds=3,
        refit=False,
        why="the best of 45 configs on 1,000 users of validation (`benchmarks/handmade/beauty-bert4rec.tsv`), .0506 there, where transitions alone have .0475.",
    ),
    Ranking(
        "gowalla",
        "ease",
        DualEASE(200.0),
        {"recall@20": 0.1745, "ndcg@20": 0.1447},
        "EASE .1765/.1467",
        why="within .002 of the print, as `benchmarks/published.py --dual` says of the same model.",
    ),
    Ranking(
        "gowalla",
        "best: blend",
        Blend(
            (
                ItemKNN(similarity="rp3beta", neighbours=1000, alpha=0.6, beta=0.3),
                ALS(factors=256, alpha=20),
                EASENeighbours(regularization=200),
            )
        ),
        {"recall@20": 0.185, "ndcg@20": 0.154},
        "LightGCN .1820/.1547; UltraGCN .1862/.1580; SimpleX .1872/.1557",
        why="members by some fifteen trials on validation, where the walk alone has .2147/.1229, als .1954/.1113, ease .1988/.1169.",
    ),
    *(OverTime(name, (kind,)) for name in TIMED for kind in NETWORKS),
)


# --- the page -------------------------------------------------------------------------------------------


def page(kept: dict[str, Found]) -> str:
    """The page of all finished rows."""
    lines = [
        "# Quality, beside what is published for the same files",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/quality.py`: every option, and how it was chosen, stands in the script.",
        "The test was read once for each column where nothing else is said. Blends, ncf and mlp were read a second time, with the",
        "same options, when ties in the fitting of weights and the drawing of items were mended; rows learnt from train alone",
        "were added later, with the options of before. Blends, those below rankers too, were read once more with the weights of decision",
        "record 183, but for `ranker over a blend with sasrec` and gowalla, of before. The machine is that of the last row",
        "measured; others loaded it, so CPU seconds are above those of a quiet one.",
        "",
        kept.get("machine", machine()),
        "",
        "## Against a goal",
        "",
        "**Found** is learnt from what the published values are learnt from, by this protocol; the validation part chooses options,",
        "epochs and weights. **Refit** is the same model learnt from train and validation together with what validation chose: it",
        "is what one would serve, and it is no figure to hold beside a paper that learns from train alone. In brackets, the 95 %",
        "interval by bootstrap over users. Seed 0, or the mean of seeds 0 to n - 1. CPU s: the fit of one seed on",
        "train where it is known, and everything in the row together; vectors of titles come from the cache (57 s once).",
        "",
        "| data | split | candidates | learnt from | metric |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row.data for row in ROWS if isinstance(row, (Ranking, Ratings))):
        said = PROTOCOLS[name]
        lines.append(f"| {name} | {said.split} | {said.candidates} | {MEANT[said.learnt_from]} | {said.metric} |")
    lines += [
        "",
        "| data | recommender | metric | learnt from | found | goal | reached | published | refit | seeds | CPU s |",
        "|---|---|---|---|--:|--:|---|---|--:|--:|--:|",
    ]
    notes = []
    for row in ROWS:
        if isinstance(row, (Ranking, Ratings)):
            lines += [_goal_line(row, label, kept.get(key_of(row), {})) for label in row.goals]
            notes += [f"- {row.data}, {row.name}: {row.why}"] if row.why else []
    lines += ["", *notes] if notes else []
    return "\n".join(lines + _cold_lines(kept) + _time_lines(kept)) + "\n"


def _goal_line(row: Ranking | Ratings, label: str, found: Found) -> str:
    learnt_from, goal, less = PROTOCOLS[row.data].learnt_from, row.goals[label], label == "rmse"
    beside, refit = found.get("train" if learnt_from == "train" else "refit"), found.get("refit")
    reached = "not run"
    if beside is not None:
        value = beside["values"][label]
        reached = "" if goal is None else "yes" if (value <= goal if less else value >= goal) else "**no**"
    sign = "" if goal is None else f"{'<=' if less else '>='} {goal:g}"
    again = "the same" if learnt_from != "train" else _value(refit, label)
    fit = f"{found['fit_cpu']:.0f} of " if "fit_cpu" in found else ""
    seconds = f"{fit}{found['cpu']:.0f}" if found else ""
    return (
        f"| {row.data} | {row.name} | {label} | {MEANT[learnt_from]} | {_value(beside, label)} | {sign} "
        f"| {reached} | {row.published} | {again} | {found.get('seeds', 1)} | {seconds} |"
    )


def _value(found: Found | None, label: str) -> str:
    """A value with its interval, or with the values of all seeds."""
    if found is None:
        return "not run"
    ends, every = found.get("intervals", {}).get(label), found.get("every", {}).get(label)
    spread = f" ({ends[0]:.4f} to {ends[1]:.4f})" if ends else ""
    seeds = f"; seeds {', '.join(f'{value:.4f}' for value in every)}" if every else ""
    return f"{found['values'][label]:.4f}{spread}{seeds}"


def _cold_lines(kept: dict[str, Found]) -> list[str]:
    lines = [
        "",
        "## Items nobody has touched",
        "",
        "A fifth of the catalogue (seed 0) is the test; everything else is learnt from, with no validation part. `content` alone, with its defaults, compares vectors; with ALS inside it reads factors off the vectors",
        "of titles (amazon-beauty), or of title, genres, people and plot (ml-1m); `als` with `feature_weight` 1, otherwise of the",
        "same options (but of `lift`), draws the factors of all items to what it reads off. recall@20 of the interactions with",
        "those items: among all items, and among the untouched ones alone. Random is expected, shuffled is the same",
        "model with the items' texts exchanged at random; p by sign flips over users. Options by a look at another fifth,",
        "taken out of the training part; an earlier reading of this test, with the defaults, led to that look. A second one, with",
        "6.1 times random on ml-1m, led to `lift`: places are the share of the twenty that untouched items take, a fifth is",
        "theirs by number, and what ml-1m has above 6.1 comes from giving them more. In that look: lift 1 finds 10.8 times",
        "random with places .29, lift 1.3 finds 17.8 with .59, lift 1.5 finds 20.9 with .74. Goal: ten times random.",
        "Among the untouched alone, where lift changes nothing, that would be a recall of .27 on ml-1m, where a user wants more",
        "of them than fit into twenty places. On amazon-beauty plain `content`, which has learnt nothing from any user, finds three",
        "times what `als` drawn to texts finds among all items, where it gives untouched items about the fifth of the places that is",
        "theirs by number, and more among the untouched alone.",
        "",
        "| data | recommender | texts | candidates | users | found | random | times random | goal | texts shuffled | p | places |",
        "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in ROWS:
        if isinstance(row, Cold) and (found := kept.get(key_of(row))):
            for one in found["rows"]:
                times = one["recall"] / one["random"]
                lines.append(
                    f"| {row.data} | {row.name.split(',')[0]} | {row.name.split(', ')[1].split()[0]} | {one['candidates']} | {found['users']:,} | {one['recall']:.4f} | {one['random']:.4f} "
                    f"| {times:.1f} | {row.times:g} | {one['shuffled']:.4f} | {one['p']:.4f} | {one['places']:.2f} |"
                )
    missing = [f"{row.name} on {row.data}" for row in ROWS if isinstance(row, Cold) and key_of(row) not in kept]
    return [*lines, "", f"Not run yet: {', '.join(missing)}."] if missing else lines


def _time_lines(kept: dict[str, Found]) -> list[str]:
    lines = [
        "",
        "## Global time: against decayed popularity",
        "",
        "The last tenth in time is the test, the tenth before it the validation. ndcg@10; the difference to popularity",
        "whose half-life was chosen on validation, with its 95 % interval by paired bootstrap over users. Options by the",
        "grids of `CONTENDERS` on validation, then learnt from train and validation; networks learn from train alone, for as many",
        "epochs as validation says; the blend is that popularity with ease, als, transitions and content, its weights fitted on",
        "validation. No single model",
        "beats what is popular these days; on movietweetings, where its best half-life is the shortest tried, hardly any",
        "history helps; the blend is better where the interval says so.",
        "",
        "| data | recommender | options chosen | ndcg@10 | difference | 95 % interval | better | CPU s |",
        "|---|---|---|--:|--:|---|---|--:|",
    ]
    for name in dict.fromkeys(row.data for row in ROWS if isinstance(row, OverTime)):
        told = set()
        for row in ROWS:
            if not (isinstance(row, OverTime) and row.data == name and (found := kept.get(key_of(row)))):
                continue
            for one in found["rows"]:
                if one["name"] in told:
                    continue
                told.add(one["name"])
                options = ", ".join(f"{key} {value}" for key, value in one["options"].items())
                start = f"| {name} ({found['users']:,} users) | {one['name']} | {options} | {one['ndcg']:.4f} "
                if "low" not in one:
                    lines.append(start + "| | | | |")
                    continue
                verdict = "yes" if one["low"] > 0 else "**worse**" if one["high"] < 0 else "**not shown**"
                lines.append(
                    start + f"| {one['difference']:+.4f} | {one['low']:+.4f} to {one['high']:+.4f} | {verdict} "
                    f"| {one['cpu']:.0f} |"
                )
    missing = [f"{row.name} on {row.data}" for row in ROWS if isinstance(row, OverTime) and key_of(row) not in kept]
    return [*lines, "", f"Not run yet: {', '.join(missing)}."] if missing else lines


def key_of(row: Row) -> str:
    return f"{row.data}: {row.name}" + (" over time" if isinstance(row, OverTime) else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", nargs="+", help="only rows whose name holds one of these")
    parser.add_argument(
        "--search", action="store_true", help="print the validation values of those rows' grids instead"
    )
    parser.add_argument("--again", action="store_true", help="also rows that are finished")
    text = "of finished rows measure what is learnt from train, and keep the refit value of before"
    parser.add_argument("--train-alone", action="store_true", help=text)
    options = parser.parse_args()
    for row in ROWS:
        key = key_of(row)
        if options.rows and not any(part in key for part in options.rows):
            continue
        if options.search:
            search(row, options.data)
        elif key not in finished() or options.again or options.train_alone:
            before = finished().get(key, {}) if options.train_alone else {}
            measured = replace(row, refit=False) if before and isinstance(row, Ranking) else row
            began = time.process_time()
            found = {**before, **measured.run(options.data), "cpu": time.process_time() - began}
            kept = finished() | {key: found, "machine": machine()}
            KEPT.write_text(json.dumps(kept, indent=1, default=float) + "\n")
            PAGE.write_text(page(kept))
            print(key, kept[key], flush=True)
    PAGE.write_text(page(finished()))


def finished() -> dict[str, Found]:
    return json.loads(KEPT.read_text()) if KEPT.is_file() else {}


def search(row: Row, data: Path) -> None:
    if isinstance(row, Ranking) and row.grid:
        print(key_of(row))
        for tried, values in row.search(data):
            print(f"  {tried} {values}", flush=True)


if __name__ == "__main__":
    main()
