"""What does a small local language model add, and what does it cost? The whole path on MovieLens 100K with plots.

    python benchmarks/llm.py [--items 200] [--users 50] [--invented 50] [--rerank 40] [--explain 30] [--served 20] > llm.md

SmolLM2-135M-Instruct in the process, no network: summaries, profiles, invented next items (from the history, and from
the profile: the chain), judged arm by arm beside placebos; reranking by title likelihood; explanations through the
checker; the same model once more behind an OpenAI-compatible server on 127.0.0.1, through the official client.
Exchanges stay in the ledger: started again, it asks nothing twice and prints the same tables.

Leave-one-out. So that there are short histories at all, every second user keeps only the newest five interactions of
the train part: those users are `short`, the others `warm`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import machine

from genre.data.dataset import Dataset
from genre.data.folds import Fold, Split
from genre.data.ids import Ids
from genre.evaluation.arms import build_arms
from genre.evaluation.evaluator import evaluate
from genre.evaluation.resampling import sign_flip
from genre.evaluation.uplift import arm_costs, evaluate_arms, uplift
from genre.features.augmentation import augment, plan
from genre.features.augmentation_prompts import Augmentation
from genre.features.augmented_columns import Augmented, check_provenance
from genre.features.base import item_features
from genre.features.embedding import Embedding
from genre.llm.base import LanguageModel
from genre.llm.ledger import Ledger
from genre.llm.ledger_table import read_log
from genre.llm.llamacpp import LlamaCpp
from genre.llm.openai import OpenAI
from genre.llm.settings import LLMOptions
from genre.preprocessing.splits import LeaveOneOut
from genre.recommenders.content import Content
from genre.recommenders.ease import EASE
from genre.recommenders.llm_reranker import LLMReranker, describe_reranking, reranking_counts
from genre.recommenders.wording import Wording, describe_wording

FIELDS = ("title", "genres", "plot")
SHORT = 5
FAITHFUL = 200  # users whose evidence is tested


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--invented", type=int, default=50)
    parser.add_argument("--rerank", type=int, default=40)
    parser.add_argument("--explain", type=int, default=30)
    parser.add_argument("--served", type=int, default=20)
    parser.add_argument("--ledger", type=Path, default=Path("llm.sqlite"))
    chosen = parser.parse_args()
    model = LlamaCpp(max_tokens=150)
    split = shortened(LeaveOneOut().split(ml_100k(chosen.data)))
    print(f"{machine()}\n\nModel: {model.fingerprint}\n")
    made = augmented(split.train, model, chosen)
    degeneracy(made, chosen.ledger)
    samples(made, split.train)
    judged(split, made)
    reranked(split, model, chosen)
    explained(split, model, chosen)
    faithful(split)
    through_a_server(split.train, model, chosen)


def ml_100k(data: Path) -> Dataset:
    """MovieLens 100K with the plots of `items_info.json`; nothing of it is copied into the project."""
    folder = data / "ml-100k"
    rows = np.loadtxt(folder / "u.data", dtype=np.int64)
    names = [line.split("|") for line in (folder / "u.item").read_text("latin-1").splitlines()]
    info = {entry["movielens_id"]: entry for entry in json.loads((folder / "items_info.json").read_text())}
    item_ids, user_ids = Ids(name[0] for name in names), Ids(str(user) for user in range(1, 944))
    known = [info.get(name[0], {}) for name in names]
    table = pa.table(
        {
            "item_id": item_ids.values,
            "title": [name[1] for name in names],
            "genres": [entry.get("genres") or "" for entry in known],
            "plot": [entry.get("plot") or "" for entry in known],
        }
    )
    return Dataset.from_arrays(
        user=user_ids.rows([str(user) for user in rows[:, 0]]),
        item=item_ids.rows([str(item) for item in rows[:, 1]]),
        rating=rows[:, 2],
        timestamp=rows[:, 3],
        user_ids=user_ids,
        item_ids=item_ids,
        items=table,
        rating_scale=(1.0, 5.0, 1.0),
        positive_rating=4.0,
        name="ml-100k",
    )


def shortened(split: Split) -> Split:
    """Every second user keeps the newest `SHORT` interactions of the train part, in every context."""

    def cut(data: Dataset) -> Dataset:
        lengths = np.bincount(data.user, minlength=data.n_users)
        from_end = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(data))
        return data.where((data.user % 2 == 0) | (from_end <= SHORT))

    validation, test = (Fold(cut(fold.context), fold.target) for fold in (split.validation, split.test))
    return Split(cut(split.train), validation, test)


def augmented(train: Dataset, model: LanguageModel, chosen: argparse.Namespace) -> Augmented:
    """Summaries, profiles, next items from histories alone, and from profiles as well: the chain."""
    options = Augmentation(
        FIELDS,
        profiles=True,
        synthetic="both",
        max_items=chosen.items,
        max_users=chosen.users,
        max_invented=chosen.invented,
        short_history=SHORT,
        repair=False,  # a model this small answers the same again
    )
    print("## What was planned\n")
    for name, step in plan(train, Ledger(chosen.ledger.with_suffix(".plan.sqlite"), model), options).items():
        print(f"- {name}: {step}")
    made = augment(train, Ledger(chosen.ledger, model, job="augmentation"), options)
    problems = check_provenance(made.apply(train), train)
    print(f"- audit: {problems or 'every text says model, prompt and cut-off; none knows the test'}")
    return made


def degeneracy(made: Augmented, ledger: Path) -> None:
    print("\n## How the answers turned out\n")
    reports = {name: dataclasses.asdict(report) for name, report in made.reports.items()}
    names = [name for name in next(iter(reports.values())) if name != "reasons"]
    print(f"| | {' | '.join(reports)} |\n|---|{'--:|' * len(reports)}")
    for name in names:
        values = [report[name] for report in reports.values()]
        print(f"| {name} | {' | '.join('-' if value is None else f'{value:g}' for value in values)} |")
    print("\n| prompt | calls | tokens in | tokens out | seconds |\n|---|--:|--:|--:|--:|")
    with sqlite3.connect(ledger) as connection:
        question = "SELECT prompt, count(*), sum(tokens_in), sum(tokens_out), sum(seconds) FROM exchanges GROUP BY 1"
        for prompt, calls, tokens_in, tokens_out, seconds in connection.execute(question):
            print(f"| {prompt} | {calls:,} | {tokens_in:,} | {tokens_out:,} | {seconds:,.0f} |")
        why = "SELECT verdict, count(*) FROM exchanges WHERE verdict LIKE 'quarantined%' GROUP BY 1"
        reasons: dict[str, int] = {}
        for verdict, count in connection.execute(why):
            reason = verdict.removeprefix("quarantined: ").split(":")[0].split(";")[0]
            reasons[reason] = reasons.get(reason, 0) + count
    print("\nWhy answers were put into quarantine:\n")
    for reason, count in sorted(reasons.items(), key=lambda entry: -entry[1])[:8]:
        print(f"- {count} x {reason}")


def samples(made: Augmented, train: Dataset) -> None:
    print("\nThe first answers that passed, as they are:\n")
    titles = train.titles()
    kept = [(titles[row], text) for row, text in enumerate(made.items["summary"].to_pylist()) if text][:6]
    print("\n".join(f"- {title}: {text}" for title, text in kept))
    for column in ("profile", "synthetic_text", "synthetic_chained_text"):
        texts = [text for text in made.users[column].to_pylist() if text][:3]
        print("\n".join(f"- {column}: {text}" for text in texts))


def judged(split: Split, made: Augmented) -> None:
    print("\n## Did it help?\n")
    for label, recommender in (("content", Content()), ("EASE", EASE())):
        conditions = build_arms(split, recommender, Embedding(), made)
        if label == "EASE":  # it reads no text
            conditions = {name: arm for name, arm in conditions.items() if "summaries" not in name}
        found = uplift(evaluate_arms(conditions), short=SHORT + 1, **arm_costs(made.reports))
        print(f"First stage: {label}. A point is .01.\n\n{found.table()}\n")
        print(f"Significant: {', '.join(found.winners()) or 'nothing'}. {' '.join(found.warnings())}\n")


def reranked(split: Split, model: LanguageModel, chosen: argparse.Namespace) -> None:
    """Users whose next item is among the ten best of EASE: can the model put it higher?"""
    print("## Reranking ten candidates by title likelihood\n")
    base = EASE().fit(split.train)
    users = np.unique(split.test.target.user[split.test.target.liked()])
    context = split.test.context.history(users)
    ten = base.recommend(context, k=10).item
    wanted = {int(u): int(i) for u, i in zip(split.test.target.user, split.test.target.item, strict=True)}
    users = users[[wanted[int(user)] in row for user, row in zip(users, ten, strict=True)]][: chosen.rerank]
    fold = Fold(split.test.context, split.test.target.where(np.isin(split.test.target.user, users)))
    encoded = split.train.with_features(items=item_features(split.train, Embedding()))
    rows: list[tuple[str, float, float]] = []
    asked = LLMOptions(model, ledger=str(chosen.ledger), job="reranking")
    recommenders: dict[str, Any] = {"EASE": EASE()}
    for weight in (0.3, 0.5, 1.0):
        recommenders[f"EASE, titles, weight {weight}"] = LLMReranker(EASE(), asked, weight=weight, short_history=None)
    recommenders["EASE, order written as JSON, weight 1"] = LLMReranker(
        EASE(), asked, method="list", shuffles=1, weight=1.0, short_history=None
    )
    for name, recommender in recommenders.items():
        start = time.process_time()
        fitted = recommender.fit(encoded)
        value = evaluate(fitted, fold, k=10, metrics=("mrr",), train=split.train).values["mrr@10"]
        rows.append((name, value, time.process_time() - start))
        if isinstance(fitted, LLMReranker):
            print(f"- {name}: {describe_reranking(reranking_counts(fitted))}")
    chance = float(np.mean(1 / np.arange(1, 11)))
    print(f"\n{len(users)} users whose liked next item EASE has among its ten; chance is {chance:.3f}.\n")
    print("| | mrr@10 |\n|---|--:|")
    for name, value, _ in rows:
        print(f"| {name} | {value:.3f} |")


def explained(split: Split, model: LanguageModel, chosen: argparse.Namespace) -> None:
    print("\n## Explanations in words\n")
    base = EASE().fit(split.train)
    wording = Wording(LLMOptions(model, ledger=str(chosen.ledger), job="explanations"))
    whys = []
    for user in range(0, 2 * chosen.explain, 2):
        one = split.test.context.history([user])
        whys += base.explain(one, base.recommend(one, k=1).item[0])
    said = wording.sentences(whys, split.train)
    print(f"{len(whys)} explanations: {describe_wording(wording.counts)}\n")
    print("\n".join(f"- {sentence}" for sentence in said[:8]))


def faithful(split: Split) -> None:
    """Two cited items leave the history, or two others: how far does the recommended item's score fall?"""
    print("\n## Is the evidence faithful?\n")
    print("| | users | fall without the two cited | without two others | difference | p |\n|---|--:|--:|--:|--:|--:|")
    rng = np.random.default_rng(0)
    encoded = split.train.with_features(items=item_features(split.train, Embedding()))
    for name, recommender in (("EASE", EASE()), ("content", Content())):
        fitted = recommender.fit(encoded)
        falls = []
        for user in range(0, 2 * FAITHFUL, 2):
            one = split.test.context.history([user])
            if len(one.item) < 5:
                continue
            [item] = fitted.recommend(one, k=1).item[0]
            [why] = fitted.explain(one, np.array([item], np.int32))
            cited = [row for row, share in why.history if share > 0][:2]
            others = rng.choice([row for row in one.item.tolist() if row not in cited], len(cited), replace=False)
            whole = float(fitted.score(one)[0, item])
            left = [one.keep(~np.isin(one.item, rows)) for rows in (cited, others)]
            falls.append([whole - float(fitted.score(kept)[0, item]) for kept in left])
        pair = np.array(falls)
        p = float(sign_flip(pair[:, :1] - pair[:, 1:])[0])
        by_cited, by_others = pair.mean(axis=0)
        print(f"| {name} | {len(pair)} | {by_cited:.4f} | {by_others:.4f} | {by_cited - by_others:+.4f} | {p:.4f} |")


def through_a_server(train: Dataset, model: LlamaCpp, chosen: argparse.Namespace) -> None:
    print("\n## The same through an OpenAI-compatible server on 127.0.0.1\n")
    client = OpenAI(
        "smollm2", base_url=model.address, key_variable="", structured="schema", max_tokens=150, concurrency=2
    )
    path = chosen.ledger.with_suffix(".server.sqlite")
    book = Ledger(path, client, job="server")
    made = augment(train, book, Augmentation(FIELDS, max_items=chosen.served, repair=False))
    report = made.reports["summaries"]
    spent = book.spent()
    print(
        f"{chosen.served} items: {report}\n\n{spent.calls} calls, {spent.tokens:,} tokens through the official client."
    )
    print(f"Outcomes: { {entry.outcome for entry in read_log(path, last=100)} }")


if __name__ == "__main__":
    main()
