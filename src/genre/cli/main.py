"""The verbs of `genre`: each parses its words, calls one function and prints what it returns. No logic.

Errors made on purpose are one line on standard error and exit status 2; answers go to standard output.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.errors import DataError, DriftError, GenreError
from genre.log import ConsoleLog
from genre.version import __version__

if TYPE_CHECKING:
    from genre.runs import Run

PATIENT = 600.0  # seconds that one who asks on the command line waits for words or a recommender


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = _parser()
    args, left = parser.parse_known_args(argv)
    overriding = hasattr(args, "overrides") and not [word for word in left if word.startswith("-") or "=" not in word]
    if left and not overriding:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if left:  # overrides that stand behind an option
        args.overrides = [*args.overrides, *left]
    if not hasattr(args, "verb"):
        parser.print_help()
        return 0
    try:
        return args.verb(args) or 0
    except GenreError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on from the last finished step", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:  # a full disk, a file that may not be written
        print(f"{error}; what was finished stands, run the same command again to go on from there", file=sys.stderr)
        return 2


RUN_FIRST = "%(prog)s run [options]"  # behind an option that takes several words, a run would be one of them


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="genre", description="A recommendation engine built on language models.")
    parser.add_argument("--version", action="version", version=f"genre {__version__}")
    verbs = parser.add_subparsers(metavar="VERB")

    def verb(name: str, action: Any, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text)
        made.set_defaults(verb=action)
        return made

    def config(made: argparse.ArgumentParser) -> None:
        made.add_argument("config", help="a YAML file")
        made.add_argument(
            "overrides", nargs="*", default=[], metavar="key=value", help="overrides, such as evaluation.k=20"
        )

    made = verb("run", _run, "Do every step of a config that is not done yet; print leaderboard and examples.")
    config(made)
    made.add_argument("--runs", default="runs", help="where run folders are kept (default: runs)")
    made.add_argument("--quiet", action="store_true", help="print the results only")

    made = verb("recommend", _recommend, "Recommend items to a user of a run, or to a history of titles.")
    made.add_argument("run", help="a run folder")
    made.add_argument("--user", help="a user id of the data")
    made.add_argument("--history", nargs="+", metavar="ITEM", default=[], help="ids or titles, oldest first")
    made.add_argument("-k", type=int, default=10, help="how many items (default: 10)")
    made.add_argument("--ask", metavar="WORDS", help="a wish in words, alone or together with --user or --history")
    made.add_argument("--using", help="a recommender of the run (default: the best on validation)")
    made.add_argument("--json", action="store_true", help="print JSON")

    made.usage = RUN_FIRST

    made = verb("serve", _serve, "Answer over HTTP, with a page at /.")
    made.add_argument("runs", nargs="+", metavar="RUN", help="run folders; users are split over several")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    made.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    made.add_argument("--store", help="SQLite file or postgresql:// address of the event log (default: beside the run)")
    made.add_argument("--api-key-file", type=Path, help="file with the key that callers must show")
    text = "such as rate=20 (requests a second from one address) or model_seconds=2; docs/serving.md has them all"
    made.add_argument("--limit", action="append", default=[], metavar="NAME=VALUE", help=text)
    text = "share of the users that a run gets, by its name, such as movies=0.9; equal parts without"
    made.add_argument("--share", action="append", default=[], metavar="RUN=SHARE", help=text)

    made = verb("refresh", _refresh, "Learn again from a run's data and event log; a running server takes it over.")
    made.add_argument("run", help="a run folder")
    made.add_argument("--store", help="SQLite file or postgresql:// address of the event log (default: beside the run)")
    text = "items that may rise in people's lists though few users took them; without ids: all"
    made.add_argument("--accept", nargs="*", metavar="ITEM", help=text)
    text = "how far an item may rise, such as rise=0.1 (of all lists) or backing=0.01; docs/serving.md has them all"
    made.add_argument("--drift", action="append", default=[], metavar="NAME=VALUE", help=text)
    made.add_argument("--roll-back", action="store_true", help="go back to the run that the last refresh replaced")
    made.usage = RUN_FIRST

    made = verb("tune", _tune, "Search the options of every recommender of a config on the validation part.")
    config(made)
    made.add_argument("--runs", default="runs", help="where run folders are kept (default: runs)")
    made.add_argument("--trials", type=int, default=30, help="tries for each recommender (default: 30)")
    made.add_argument("--minutes", type=float, help="at most so long for each recommender")

    made = verb("audit", _audit, "Look for leaks between the parts of a run; exit status 1 when there are any.")
    made.add_argument("run", help="a run folder")

    made = verb("compare", _compare, "Compare two runs, recommender by recommender, with paired tests over users.")
    made.add_argument("run", help="a run folder")
    made.add_argument("other", help="another run folder, judged on the same test part")

    text = "What a language model would cost, and what was asked."
    model = verbs.add_parser("llm", help=text, description=text).add_subparsers(metavar="VERB", required=True)

    text = "Count calls, tokens, time and price of all that a run would ask, before anything is sent."
    made = model.add_parser("plan", help=text, description=text)
    made.set_defaults(verb=_llm_plan)
    config(made)
    made.add_argument("--runs", default="runs", help="where run folders are kept (default: runs)")

    text = "Show the newest exchanges with language models."
    made = model.add_parser("log", help=text, description=text)
    made.set_defaults(verb=_llm_log)
    made.add_argument("source", nargs="?", help="a run, a config or a ledger file (default: the user's own ledger)")
    made.add_argument("--last", type=int, default=20, help="how many (default: 20)")
    outcomes = ("ok", "failed", "truncated", "refused", "valid", "repaired", "quarantined")
    made.add_argument("--outcome", choices=outcomes, metavar="WORD", help=f"only those: {', '.join(outcomes)}")
    made.add_argument("--id", type=int, help="one of them, in full")

    made = verb("uplift", _uplift, "Did the language model help? Every arm beside its placebo, with cost per point.")
    config(made)
    made.add_argument("--runs", default="runs", help="where run folders are kept (default: runs)")
    made.add_argument("--using", help="the recommender that every arm fits (default: the first of the config)")

    made = verb(
        "check", _check, "Check a config; print it with every default filled in and where each value came from."
    )
    config(made)

    made = verb("schema", _schema, "Write the JSON Schema of configs, for editors.")
    made.add_argument("--output", default="genre.schema.json", help="file to write, - for standard output")

    made = verb("init", _init, "Write a commented config for data of your own.")
    made.add_argument("interactions", type=Path, help="file of interactions")
    made.add_argument("items", type=Path, nargs="?", help="file of items with their text")
    made.add_argument("--users", type=Path, help="file of users")
    text = "where names do not tell, the column of user, item, rating, weight, timestamp, part, title: item=SKU"
    made.add_argument("--column", action="append", default=[], metavar="ROLE=NAME", help=text)
    made.add_argument("--output", type=Path, default=Path("genre.yaml"), help="file to write (default: genre.yaml)")

    made = verb("diagram", _diagram, "Print the Mermaid diagram of a config's pipeline.")
    config(made)

    made = verb("list", _list, "List what can be configured: recommenders, metrics, data, split, features.")
    made.add_argument("what", nargs="?", default="recommenders")
    return parser


def _run(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_run
    from genre.pipeline import run

    print_run(run(args.config, overrides=args.overrides, runs=args.runs, log=ConsoleLog(quiet=args.quiet)))


def _recommend(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_recommended
    from genre.runs import read_run

    run = read_run(args.run)
    history = _history(run, args)
    rows = run.answer(history, k=args.k, using=args.using) if args.ask is None else _asked(run, history, args)
    for trouble in run.troubles(args.using):
        print(trouble, file=sys.stderr)
    if args.json:
        print(json.dumps([vars(row) for row in rows], ensure_ascii=False, indent=2))
    else:
        print_recommended(rows)


def _asked(run: Run, history: Any, args: argparse.Namespace) -> list[Any]:
    from genre.runs import Recommended
    from genre.serving.events.sqlite import SQLiteStore
    from genre.serving.limits import Limits
    from genre.serving.requests import Ask
    from genre.serving.service import Service

    if run.item_encoder is None:
        raise GenreError(f"{args.run}: its config has no features.items, and words are matched against those")
    past = None if args.user is not None else tuple(run.dataset.item_ids.take(history.item))
    asked = Ask(user_id=args.user, history=past, words=args.ask, k=args.k, recommender=args.using)
    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(model_seconds=PATIENT, words_seconds=PATIENT)
        with closing(Service([run], SQLiteStore(Path(folder) / "events.sqlite"), limits=limits)) as service:
            answer = service.recommend(asked)
    return [Recommended(**item) for item in answer.items]


def _history(run: Run, args: argparse.Namespace) -> Any:
    if args.user is not None and args.history:
        raise GenreError("--user and --history exclude each other: a history is somebody the data does not know")
    if args.user is None and not args.history and args.ask is None:
        raise GenreError("say for whom: --user ID of the data, --history with ids or titles, or --ask in words")
    return run.history_of(args.history) if args.user is None else run.history_of_user(args.user)


def _serve(args: argparse.Namespace) -> None:
    from genre.runs import read_run
    from genre.serving.http.server import serve
    from genre.serving.limits import limits_of, shares_of

    limits, shares = limits_of(args.limit), shares_of(args.share)
    key = None
    if args.api_key_file is not None:
        try:
            key = args.api_key_file.read_text("utf-8").strip()
        except OSError as error:
            raise GenreError(f"{args.api_key_file}: cannot be read ({error.strerror})") from error
    runs = [read_run(folder) for folder in args.runs]
    where = {"host": args.host, "port": args.port, "store": args.store}
    serve(runs, **where, api_key=key, limits=limits, shares=shares, log=ConsoleLog())


def _refresh(args: argparse.Namespace) -> None:
    from genre.pipeline import remake
    from genre.runs import facts_of
    from genre.serving.drift import drift_of
    from genre.serving.events.opening import beside, open_store
    from genre.serving.refresh import refresh, roll_back

    run = Path(args.run).resolve()
    if args.roll_back:
        roll_back(run)
        print(f"{run} is the run it was before; the same command undoes this")
        return
    facts_of(run)
    drift = drift_of(args.drift)
    accept = None if args.accept == [] else args.accept or ()
    with closing(open_store(args.store or beside(run), must_exist=True)) as store:
        try:
            if not refresh(run, store, remake, drift=drift, accept=accept, log=ConsoleLog()):
                return
        except DriftError as error:
            given = [*(["--store", args.store] if args.store else []), *(f"--drift={limit}" for limit in args.drift)]
            again = shlex.join(["genre", "refresh", str(run), *given, "--accept", *(accept or ()), *error.items])
            raise DriftError(f"{error}\nTo accept (without ids: all): {again}", error.items) from None
    print(f"Refreshed: {run}\nReport:    {run / 'report.html'}\nUndo:      genre refresh {run} --roll-back")


def _tune(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_tuned
    from genre.studies import tune_config

    budget = {"trials": args.trials, "minutes": args.minutes}
    results, tuned = tune_config(args.config, overrides=args.overrides, runs=args.runs, log=ConsoleLog(), **budget)
    print_tuned(results)
    print(f"Next: genre run {tuned}")


def _audit(args: argparse.Namespace) -> int:
    from genre.studies import audit_run

    findings = audit_run(args.run)
    for finding in findings:
        print(finding)
    errors = sum(finding.severity == "error" for finding in findings)
    print(f"{errors} leak{'' if errors == 1 else 's'} found" if errors else "no leak found")
    return 1 if errors else 0


def _compare(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_comparisons
    from genre.studies import compare_runs

    print_comparisons(compare_runs(args.run, args.other))


def _llm_plan(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_plan
    from genre.studies import plan_augmentation

    print_plan(plan_augmentation(args.config, overrides=args.overrides, runs=args.runs, log=ConsoleLog()))


def _llm_log(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_exchange, print_exchanges
    from genre.studies import exchanges_of

    found = exchanges_of(args.source, last=args.last, outcome=args.outcome, number=args.id)
    print_exchanges(found) if args.id is None else print_exchange(found[0])


def _uplift(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_uplift
    from genre.studies import judge_uplift

    options = {"overrides": args.overrides, "runs": args.runs, "using": args.using}
    print_uplift(judge_uplift(args.config, **options, log=ConsoleLog()))


def _check(args: argparse.Namespace) -> None:
    from genre.config.reading import explain_config, read_config
    from genre.recommenders.network_base import starts

    config = read_config(args.config, args.overrides)
    print(explain_config(config))
    if gone := config.experiment.data.not_there():
        raise DataError(f"{args.config}: data: {', '.join(map(str, gone))}: no such file; check the path")
    for recommender in config.experiment.recommenders:
        starts(recommender)  # raises where `init_from` names nothing that fits


def _schema(args: argparse.Namespace) -> None:
    from genre.config.schema import schema

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if args.output == "-":
        print(text, end="")
    else:
        _write(Path(args.output), text)
        print(f"wrote {args.output}")


def _init(args: argparse.Namespace) -> None:
    from genre.config.starter import columns_of, first_config

    if args.output.exists():
        raise GenreError(f"{args.output} exists; choose another --output")
    columns = columns_of(args.column)
    _write(args.output, first_config(args.interactions, args.items, args.users, args.output, columns=columns))
    print(f"wrote {args.output}; next: genre run {args.output}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GenreError(f"{path}: cannot be written ({error.strerror}); choose another --output") from error


def _diagram(args: argparse.Namespace) -> None:
    from genre.config.diagram import mermaid
    from genre.config.reading import read_config

    print(mermaid(read_config(args.config, args.overrides).experiment))


def _list(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_list

    print_list(args.what)
