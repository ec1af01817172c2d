"""What times tell a ranker: that of the first config, without and with the hour, the weekday and recent popularity.

    OMP_NUM_THREADS=1 python benchmarks/ranker_context.py --data ../shared/data [--sets uci-online-retail movietweetings]

The ranker is that of `genre init`, or the one it would write if histories were long enough; the newest tenth is the test,
the tenth before it the validation, and seen items are left out. Learnt from train; one half of the validation users weighs
the first stage, the other half tells the contexts apart. The test is read for the ranker without context and for the
context that validation prefers, in the context of each user's first interaction there. Differences are to the ranker
without context, with their 95 % interval by bootstrap over users.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import tempfile
import time
from pathlib import Path

from handmade import HERE, SETS, make_files, read

from genre.config.reading import parse_config
from genre.config.starter import first_config
from genre.config.starter_choices import LEAST_LENGTH, choose_recommenders
from genre.config.writing import to_yaml
from genre.data.folds import Fold
from genre.evaluation.comparison import compare
from genre.evaluation.evaluator import evaluate
from genre.evaluation.results import Evaluation
from genre.recommenders.ranker import Ranker
from genre.recommenders.reusing import HeldOut, Reusable, fit_reusing

CONTEXTS: tuple[tuple[str, ...], ...] = ((), ("recent",), ("hour", "weekday"), ("hour", "weekday", "recent"))
LABELS = "ndcg@10", "recall@10"


def said(found: Evaluation, plain: Evaluation) -> str:
    [one] = compare(found, plain, LABELS[:1])
    values = " | ".join(f"{found.values[label]:.4f}" for label in LABELS)
    return f"{values} | {'' if found is plain else f'{one.low:+.4f} to {one.high:+.4f}'}"


def run(name: str, files: Path) -> None:
    interactions, items = SETS[name].tables(files / name)
    with tempfile.TemporaryDirectory() as scratch:
        facts = first_config(interactions, items, None, Path(scratch) / "genre.yaml", exclude_seen=True).facts
    choices = choose_recommenders(dataclasses.replace(facts, length=max(facts.length, LEAST_LENGTH)))
    values = next(choice.values for choice in choices if choice.values["kind"] == "ranker")
    experiment = parse_config(to_yaml(SETS[name].config(name, [dict(values)])), name, folder=files.parent).experiment
    [ranker], parts = experiment.recommenders, read(experiment)
    assert isinstance(ranker, Ranker)
    weighed, judged = parts.validation.halves()
    fitted, held_out, found = dict[tuple[str, ...], Ranker](), HeldOut(), dict[tuple[str, ...], Evaluation]()

    def evaluated(model: Ranker, fold: Fold) -> Evaluation:
        return evaluate(model, fold, metrics=list(LABELS), train=parts.train)

    for context in CONTEXTS:
        began, made = time.process_time(), dataclasses.replace(copy.copy(ranker), context=context)
        fit_reusing(made, Reusable(parts.train, fitted.values(), held_out), parts.train, validation=weighed)
        spent = time.process_time() - began
        fitted[context], found[context] = made, evaluated(made, judged)
        print(
            f"| {name} | validation | {', '.join(context)} | {said(found[context], found[()])} | {spent:.0f} |",
            flush=True,
        )
    best = max(CONTEXTS[1:], key=lambda context: found[context].values[LABELS[0]])
    plain = evaluated(fitted[()], parts.test)
    for context, test in (((), plain), (best, evaluated(fitted[best], parts.test))):
        print(f"| {name} | test | {', '.join(context)} | {said(test, plain)} | |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--files", type=Path, default=HERE / "files")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=["uci-online-retail", "movietweetings"])
    options = parser.parse_args()
    print("| set | part | context | ndcg@10 | recall@10 | difference | CPU s |\n|---|---|---|--:|--:|---|--:|")
    for name in options.sets:
        make_files(name, options.data, options.files)
        run(name, options.files)


if __name__ == "__main__":
    main()
