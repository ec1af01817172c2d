"""Verbs of what lists led to: experiments, promote."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.cli.arguments import add_trust, add_verb, command
from genre.errors import OptionError
from genre.log import printable

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs


def add_online_verbs(verbs: Verbs) -> None:
    """Add the verbs of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    text = "Show what experiments between runs found, and what lists led to."
    parser = add_verb(verbs, "experiments", _experiments, text)
    parser.add_argument("run", type=Path, help="the run whose config has the experiments: the first one that is served")
    parser.add_argument("--store", help="SQLite file or postgresql:// address of the event log (default: beside it)")
    text = "YAML file with the section serving: in place of that of the run's config, as for `genre serve`"
    parser.add_argument("--serving", type=Path, metavar="FILE", help=text)
    parser.add_argument("--days", type=float, default=30, help="how far the table of lists goes back (default: 30)")
    add_trust(parser)

    text = "Estimate what a run would have earned, by the shows of another one that drew places at random."
    parser = add_verb(verbs, "offpolicy", _offpolicy, text)
    parser.add_argument("run", type=Path, help="the run to judge, made before the shows")
    parser.add_argument("--log", help="SQLite file or postgresql:// address of the event log (default: beside the run)")
    parser.add_argument("--using", metavar="NAME", help="the recommender to judge (default: the best)")
    parser.add_argument("--outcome", default="click", help="the kind of event that is the reward (default: click)")
    add_trust(parser)

    text = "Put a copy of a run in the place of another one; a running server loads it."
    parser = add_verb(verbs, "promote", _promote, text)
    parser.add_argument("run", type=Path, help="the run that goes live")
    parser.add_argument("--over", type=Path, required=True, metavar="RUN", help="the run whose place it takes")


def _experiments(args: argparse.Namespace) -> None:
    from genre.config.reading import FULL_CONFIG, read_config, read_serving_options
    from genre.runs import manifest_of
    from genre.serving.events.opening import default_store_path, open_store
    from genre.serving.experiment_results import experiments_report

    if not 0 < args.days <= 3650:
        raise OptionError(f"--days: expected a number above 0, at most 3650, found {args.days:g}")
    manifest_of(args.run)
    experiment = read_config(args.run / FULL_CONFIG, trust=args.trust).experiment
    options = experiment.serving if args.serving is None else read_serving_options(args.serving)
    with closing(open_store(args.store or default_store_path(args.run), must_exist=True)) as store:
        found = experiments_report(store, options.experiments, experiment.events.outcomes, days=args.days)
    for one in found["experiments"]:
        print(printable("\n".join(_describe(one))) + "\n")
    print(printable("\n".join(_table(found["lists"]))))
    if found["clicks_on_unknown_lists"]:
        print(f"clicks on unknown lists, in no row: {found['clicks_on_unknown_lists']:,}")


def _describe(one: dict[str, Any]) -> list[str]:
    lines = [f"{one['name']} ({one['state']}): {one['outcome']} within {one['days']:g} days, by user"]
    for arm in one["arms"]:
        line = f"  {arm['run']}: {arm['users']:,} users, {arm['finished']:,} finished, {arm['outcome']:.2%}"
        if (effect := arm["effect"]) is not None:
            known = effect["low"] is not None
            line += f", {effect['difference']:+.2%}"
            line += f" ({effect['low']:+.2%} to {effect['high']:+.2%})" if known else " (too few users for an interval)"
            line += f": {arm['verdict']}, {arm['reason']}"
        lines.append(line)
    if one["crossed"]:
        lines.append(f"  left out: {one['crossed']:,} users with lists of several arms")
    return lines


def _table(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["no lists were recorded in these days"]
    lines = [
        "run, recommender, source: lists, shows, clicks a show, conversions a show, value, fallbacks, time of a list"
    ]
    for row in rows:
        rates = ", ".join(_rate(row[name]) for name in ("click_rate", "conversion_rate"))
        lines.append(
            f"{row['run']}, {row['recommender']}, {row['source']}: {row['lists']:,}, {row['shows']:,}, {rates}, "
            f"{row['value']:g}, {row['fallbacks']:.1%}, {row['seconds'] * 1000:.1f} ms"
        )
    return lines


def _rate(rate: dict[str, Any]) -> str:
    between = "" if rate["low"] is None else f" ({rate['low']:.2%} to {rate['high']:.2%})"
    return f"{rate['value']:.2%}{between}"


def _offpolicy(args: argparse.Namespace) -> None:
    from genre.runs import read_run
    from genre.serving.events.opening import default_store_path, open_store
    from genre.serving.loaded_run import LoadedRun
    from genre.serving.logged_shows import judge_by_log

    run = read_run(args.run, trust=args.trust)
    run.event_kinds.weight(args.outcome)
    loaded = LoadedRun(run.name, run)
    with closing(open_store(args.log or default_store_path(args.run), must_exist=True)) as store:
        found = judge_by_log(loaded, store, loaded.model_name(args.using), args.outcome)
    print(f"{args.outcome} a show, had {loaded.model_name(args.using)} filled these places:")
    for one in found:
        print(f"  {one.name}: {one.value:.4f} (95 % interval {one.low:.4f} to {one.high:.4f})")
    first = found[0]
    print(f"  {first.shows:,} shows, worth {first.effective:,.0f} of its own; mean weight {first.mean_weight:.2f}")


def _promote(args: argparse.Namespace) -> None:
    from genre.serving.refresh import promote

    promote(args.run.resolve(), args.over.resolve())
    print(printable(f"{args.over} is a copy of {args.run} now; a running server loads it"))
    print(printable(f"Undo: {command('genre', 'refresh', str(args.over), '--roll-back')}"))
