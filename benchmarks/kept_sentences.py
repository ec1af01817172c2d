"""How many sentences of a real model for real items pass the checks, and why do the others not?

    python benchmarks/kept_sentences.py [--items 60] [--users 30] [--ledger kept.sqlite] > kept.md

SmolLM2-135M-Instruct in the process, MovieLens 100K with plots: explanations of the first item on the list of an EASE,
summaries of the most popular items, profiles of users. Each answer is asked for once. With `--show` every sentence is
printed with what is wrong with it. Exchanges stay in the ledger: started again, it asks nothing twice.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

from datasets import machine

from genre.data.dataset import Dataset
from genre.features.augmentation import request_batch
from genre.features.augmentation_prompts import Augmentation, profile_prompts, summary_prompts
from genre.llm.ledger import Ledger
from genre.llm.llamacpp import LlamaCpp
from genre.llm.settings import LLMOptions
from genre.preprocessing.splits import LeaveOneOut
from genre.recommenders.ease import EASE
from genre.recommenders.wording import Wording, describe_wording
from llm import FIELDS, ml_100k


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--ledger", type=Path, default=Path("kept.sqlite"))
    parser.add_argument("--show", action="store_true")
    chosen = parser.parse_args()
    model = LlamaCpp(max_tokens=150)
    split = LeaveOneOut().split(ml_100k(chosen.data))
    print(f"{machine()}\n\nModel: {model.fingerprint}\n")
    explanations(split.train, model, chosen)
    for name, fill in (("summaries", summary_prompts), ("profiles", profile_prompts)):
        batch = fill(split.train, Augmentation(FIELDS, max_items=chosen.items, max_users=chosen.users))
        book = Ledger(chosen.ledger, model, job=name)
        answers = request_batch(batch, book, repair=False)
        kept = sum(value is not None for value in answers.values)
        own = kept - answers.report.replaced
        print(f"{name}: {own} of {len(answers.values)} kept, {answers.report.replaced} replaced by the data's words")
        why = Counter(re.split("[:;]", one.problem)[0] for one in answers.quarantine)
        print("\n".join(f"- {count} x {reason}" for reason, count in why.most_common()), end="\n\n")
        if chosen.show:
            print("\n".join(f"    {one.problem} | {one.text}" for one in answers.quarantine))
            print("\n".join(f"    kept: {value}" for value in answers.values if value is not None))


def explanations(train: Dataset, model: LlamaCpp, chosen: argparse.Namespace) -> None:
    """One sentence for each of so many users whose first items are different ones."""
    base = EASE().fit(train)
    reasons = {}
    for user in range(train.n_users):
        one = train.history([user])
        first = int(base.recommend(one, k=1).item[0, 0])
        if first not in reasons:
            [reasons[first]] = base.explain(one, base.recommend(one, k=1).item[0])
        if len(reasons) == chosen.items:
            break
    wording = Wording(LLMOptions(model, ledger=str(chosen.ledger), job="explanations"))
    said = wording.sentences(list(reasons.values()), train)
    print(f"explanations of {len(said)} different items: {describe_wording(wording.counts)}\n")
    if chosen.show:
        print("\n".join(f"    {sentence}" for sentence in said))


if __name__ == "__main__":
    main()
