"""Verbs of what lists led to: experiment, offpolicy."""

from __future__ import annotations

import argparse
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.cli.arguments import add_trust, add_verb
from genre.cli.shell import command
from genre.display import counted
from genre.errors import OptionError
from genre.log import printable

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs
    from genre.config.experiment import Experiment
    from genre.evaluation.online.offpolicy import Estimate
    from genre.serving.events.log_table import EventStore


def add_online_verbs(verbs: Verbs) -> None:
    """Add the verbs of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    text = "Start, look at, stop and promote experiments between runs; running servers follow within a second."
    inner = verbs.add_parser("experiment", help=text, description=text).add_subparsers(metavar="VERB", required=True)

    parser = add_verb(inner, "start", _start, "Start the experiments of a file, now or at their own start.")
    _add_run_and_log(parser)
    parser.add_argument("file", type=Path, help="YAML file with the section serving: and its experiments")

    parser = add_verb(inner, "status", _status, "Show what experiments found so far, and what lists led to.")
    _add_run_and_log(parser)
    parser.add_argument("--days", type=float, default=30, help="how far the table of lists goes back (default: 30)")

    parser = add_verb(inner, "stop", _stop, "Stop an experiment now; what it found stays.")
    _add_run_and_log(parser)
    parser.add_argument("name", help="name of the experiment")

    text = "Stop an experiment and put a copy of the winner in the place of the run; a running server loads it."
    parser = add_verb(inner, "promote", _promote, text)
    parser.usage = "%(prog)s RUN [NAME] [--arm FOLDER] [--store STORE] [--trust]"  # argparse looks for NAME there alone
    _add_run_and_log(parser, "the run whose place is taken: the first arm")
    parser.add_argument(
        "name", nargs="?", help="name of the experiment; without it, --arm goes live and none is stopped"
    )
    text = "folder of the run that goes live whatever the verdict (default: of the arm that is to be promoted)"
    parser.add_argument("--arm", type=Path, metavar="FOLDER", help=text)

    text = "Estimate what a run would have earned, by the shows of another one that drew places at random."
    parser = add_verb(verbs, "offpolicy", _offpolicy, text)
    parser.add_argument("run", type=Path, nargs="?", help="the run to judge, made before the shows")
    parser.add_argument("--log", help="SQLite file or postgresql:// address of the event log (default: beside the run)")
    parser.add_argument("--using", metavar="NAME", help="the recommender to judge (default: the best)")
    text = "in place of a run: file of shows of another system, with item, position, propensity and the outcome"
    parser.add_argument("--shows", type=Path, metavar="FILE", help=text)
    text = "with --shows: file of the policy to judge, with item, position and probability, or its own file of shows"
    parser.add_argument("--policy", type=Path, metavar="FILE", help=text)
    text = "the kind of event that is the reward; with --shows, its column (default: click)"
    parser.add_argument("--outcome", default="click", help=text)
    add_trust(parser)


def _add_run_and_log(parser: argparse.ArgumentParser, text: str = "the run that is served first") -> None:
    parser.add_argument("run", type=Path, help=text)
    parser.add_argument("--store", help="SQLite file or postgresql:// address of the event log (default: beside it)")
    add_trust(parser)


def _config_of(args: argparse.Namespace) -> Experiment:
    from genre.config.reading import FULL_CONFIG, read_config
    from genre.run_folder import manifest_of

    manifest_of(args.run)
    return read_config(args.run / FULL_CONFIG, trust=args.trust).experiment


def _log_of(args: argparse.Namespace) -> EventStore:
    from genre.serving.events.opening import default_store_path, open_store

    return open_store(args.store or default_store_path(args.run), must_exist=True)


def _start(args: argparse.Namespace) -> None:
    from genre.config.reading import read_serving_options
    from genre.serving.experiment_log import running_experiment, start_experiment

    config = _config_of(args)
    experiments = read_serving_options(args.file).experiments
    if not experiments:
        raise OptionError(f"{args.file}: no experiments; write them under serving: experiments:")
    for experiment in experiments:
        config.events.weight(experiment.outcome)
    with closing(_log_of(args)) as store:
        for experiment in experiments:
            now = int(time.time())
            started = start_experiment(store, experiment, now)
            found = running_experiment(store, experiment.name, now)
            what = "goes on already" if started is None else "is recorded"
            until = "it is stopped" if found.end is None else f"{found.end} UTC"
            print(
                printable(f"{found.name} {what}: from {found.start} UTC until {until}, on users of {_arms(found.arms)}")
            )


def _arms(arms: dict[str, float]) -> str:
    return ", ".join(f"{run} ({share / sum(arms.values()):.0%})" for run, share in arms.items())


def _stop(args: argparse.Namespace) -> None:
    from genre.serving.experiment_log import stop_experiment

    with closing(_log_of(args)) as store:
        stopped = stop_experiment(store, args.name, int(time.time()))
    print(printable(f"{args.name} {'had ended already' if stopped is None else 'is stopped'}"))


def _status(args: argparse.Namespace) -> None:
    from genre.serving.experiment_log import recorded_experiments
    from genre.serving.operations import experiments_report

    if not 0 < args.days <= 3650:
        raise OptionError(f"--days: expected a number above 0, at most 3650, found {args.days:g}")
    outcomes = _config_of(args).events.outcomes
    with closing(_log_of(args)) as store:
        found = experiments_report(store, recorded_experiments(store), outcomes, days=args.days)
    for one in found["experiments"]:
        print(printable("\n".join(_describe(one))) + "\n")
    print(printable("\n".join(_table(found["lists"]))))
    if found["clicks_on_unknown_lists"]:
        print(f"clicks on unknown lists, in no row: {found['clicks_on_unknown_lists']:,}")


def _describe(one: dict[str, Any]) -> list[str]:
    lines = [f"{one['name']} ({one['state']}): {one['outcome']} within {one['days']:g} days, by user"]
    for arm in one["arms"]:
        line = f"  {arm['run']}: {counted(arm['users'], 'user')}, {arm['finished']:,} finished, {arm['outcome']:.2%}"
        if (effect := arm["effect"]) is not None:
            known = effect["low"] is not None
            line += f", {effect['difference']:+.2%}"
            line += f" ({effect['low']:+.2%} to {effect['high']:+.2%})" if known else " (too few users for an interval)"
            line += f": {arm['verdict']}, {arm['reason']}"
        lines.append(line)
    if one["crossed"]:
        lines.append(f"  left out: {counted(one['crossed'], 'user')} with lists of several arms")
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
            f"{row['value']:g}, {row['fallbacks']['value']:.1%}, {row['seconds']['value'] * 1000:.1f} ms"
        )
    return lines


def _rate(rate: dict[str, Any]) -> str:
    between = "" if rate["low"] is None else f" ({rate['low']:.2%} to {rate['high']:.2%})"
    return f"{rate['value']:.2%}{between}"


def _offpolicy(args: argparse.Namespace) -> None:
    for_runs = [name for name in ("run", "log", "using") if getattr(args, name) is not None]
    if args.shows is not None and for_runs:
        raise OptionError(f"--shows judges a file, no run; leave out {', '.join(for_runs)}")
    if args.shows is None and (args.run is None or args.policy is not None):
        raise OptionError("name the run to judge; or a file of shows by --shows, and the policy to judge by --policy")
    if args.shows is None:
        _judge_run(args)
    else:
        _judge_files(args)


def _judge_files(args: argparse.Namespace) -> None:
    from genre.evaluation.online.show_files import judge_files

    judged = judge_files(args.shows, args.policy, args.outcome)
    name = args.shows if args.policy is None else args.policy
    print(printable(f"{args.outcome} a show, had the policy of {name} filled these places:"))
    _print_estimates(judged.estimates)
    if (own := judged.own) is not None:
        interval = f"95 % interval {own.low:.4f} to {own.high:.4f}"
        print(f"  in its own log: {own.value:.4f} ({interval}), {counted(own.shows, 'show')}")
    for note in judged.notes:
        print(printable(f"  {note}"))


def _print_estimates(found: list[Estimate]) -> None:
    for one in found:
        print(f"  {one.name}: {one.value:.4f} (95 % interval {one.low:.4f} to {one.high:.4f})")
    first = found[0]
    shows = counted(first.shows, "show")
    print(f"  {shows}, worth {first.effective:,.0f} of its own; mean weight {first.mean_weight:.2f}")


def _judge_run(args: argparse.Namespace) -> None:
    from genre.run_folder import read_run
    from genre.serving.events.opening import default_store_path, open_store
    from genre.serving.loaded_run import LoadedRun
    from genre.serving.logged_shows import judge_by_log

    run = read_run(args.run, trust=args.trust)
    run.event_kinds.weight(args.outcome)
    loaded = LoadedRun(run.name, run)
    with closing(open_store(args.log or default_store_path(args.run), must_exist=True)) as store:
        found = judge_by_log(loaded, store, loaded.model_name(args.using), args.outcome)
    print(f"{args.outcome} a show, had {loaded.model_name(args.using)} filled these places:")
    _print_estimates(found)


def _promote(args: argparse.Namespace) -> None:
    from genre.serving.experiment_log import named, recorded_experiments, stop_experiment
    from genre.serving.experiment_verdicts import arm_to_promote
    from genre.serving.refresh import promote

    run, winner = args.run.resolve(), args.arm and args.arm.resolve()
    if args.name is None and winner is None:
        raise OptionError("name the experiment, or by --arm the folder of the run that goes live")
    if args.name is not None:
        with closing(_log_of(args)) as store:
            experiment = named(recorded_experiments(store), args.name)
            if _folder_of(next(iter(experiment.arms)), run) != run:
                raise OptionError(f"{run}: not the first arm of {args.name}, which is {next(iter(experiment.arms))}")
            winner = winner or _folder_of(arm_to_promote(store, experiment), run)
            stop_experiment(store, args.name, int(time.time()))
    promote(winner, run)
    print(printable(f"{run} is a copy of {winner} now; a running server loads it"))
    print(printable(f"Undo: {command('genre', 'refresh', str(run), '--roll-back')}"))


def _folder_of(arm: str, run: Path) -> Path:
    """Find the run of an arm: by the name of its folder or of its config, beside the first arm."""
    from genre.config.reading import FULL_CONFIG
    from genre.plain_yaml import read_yaml

    folders = [path.parent for path in run.parent.glob(f"[!.]*/{FULL_CONFIG}")]
    by_folder = [folder for folder in folders if folder.name == arm]
    named = {folder: read_yaml((folder / FULL_CONFIG).read_text("utf-8"), FULL_CONFIG)[0] for folder in folders}
    found = by_folder or [folder for folder, values in named.items() if values.get("name") == arm]
    if len(found) != 1:
        what = f"{len(found)} runs of this name" if found else "no run of this name"
        raise OptionError(f"arm {arm!r}: {what} in {run.parent}; give its folder by --arm")
    return found[0]
