"""The verbs of `genre`: each parses its words, calls one function and prints what it returns. No logic.

Errors made on purpose are one line on standard error and exit status 2; answers go to standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre import __version__
from genre.errors import GenreError
from genre.log import ConsoleLog

if TYPE_CHECKING:
    from genre.runs import Run


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "verb"):
        parser.print_help()
        return 0
    try:
        args.verb(args)
    except GenreError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on from the last finished step", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
    return 0


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
        made.add_argument("overrides", nargs="*", metavar="key=value", help="overrides, such as evaluation.k=20")

    made = verb("run", _run, "Do every step of a config that is not done yet; print leaderboard and examples.")
    config(made)
    made.add_argument("--runs", default="runs", help="where run folders are kept (default: runs)")
    made.add_argument("--quiet", action="store_true", help="print the results only")

    made = verb("recommend", _recommend, "Recommend items to a user of a run, or to a history of titles.")
    made.add_argument("run", help="a run folder")
    made.add_argument("--user", help="a user id of the data")
    made.add_argument("--history", nargs="+", metavar="ITEM", default=[], help="ids or titles, oldest first")
    made.add_argument("-k", type=int, default=10, help="how many items (default: 10)")
    made.add_argument("--using", help="a recommender of the run (default: the best on validation)")
    made.add_argument("--json", action="store_true", help="print JSON")

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
    made.add_argument("--output", type=Path, default=Path("genre.yaml"), help="file to write (default: genre.yaml)")

    made = verb("diagram", _diagram, "Print the Mermaid diagram of a config's pipeline.")
    config(made)

    made = verb("list", _list, "List what can be configured: recommenders, metrics, data, split, features.")
    made.add_argument("what", nargs="?", default="recommenders")
    return parser


def _run(args: argparse.Namespace) -> None:
    from genre.pipeline import run
    from genre.terminal import print_run

    print_run(run(args.config, overrides=args.overrides, runs=args.runs, log=ConsoleLog(quiet=args.quiet)))


def _recommend(args: argparse.Namespace) -> None:
    from genre.runs import read_run
    from genre.terminal import print_recommended

    run = read_run(args.run)
    rows = run.answer(_history(run, args), k=args.k, using=args.using)
    if args.json:
        print(json.dumps([vars(row) for row in rows], ensure_ascii=False, indent=2))
    else:
        print_recommended(rows)


def _history(run: Run, args: argparse.Namespace) -> Any:
    if (args.user is None) == (not args.history):
        raise GenreError("say for whom: --user ID of the data, or --history with ids or titles")
    return run.history_of(args.history) if args.user is None else run.history_of_user(args.user)


def _check(args: argparse.Namespace) -> None:
    from genre.config import explain_config, read_config

    print(explain_config(read_config(args.config, args.overrides)))


def _schema(args: argparse.Namespace) -> None:
    from genre.schema import schema

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if args.output == "-":
        print(text, end="")
    else:
        Path(args.output).write_text(text, encoding="utf-8")
        print(f"wrote {args.output}")


def _init(args: argparse.Namespace) -> None:
    from genre.starter import first_config

    if args.output.exists():
        raise GenreError(f"{args.output} exists; choose another --output")
    args.output.write_text(first_config(args.interactions, args.items, args.users, args.output), encoding="utf-8")
    print(f"wrote {args.output}; next: genre run {args.output}")


def _diagram(args: argparse.Namespace) -> None:
    from genre.config import read_config
    from genre.diagram import mermaid

    print(mermaid(read_config(args.config, args.overrides).experiment))


def _list(args: argparse.Namespace) -> None:
    from genre.terminal import print_list

    print_list(args.what)
