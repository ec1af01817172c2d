"""Verbs around a config: init, auto, check, convert, schema, diagram, list."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genre.cli.arguments import add_config, add_runs_folder, add_verb
from genre.cli.shell import command
from genre.display import counted
from genre.errors import DataError, GenreError
from genre.log import printable

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs


def add_data_verbs(verbs: Verbs) -> None:
    """Add the verbs of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    parser = add_verb(verbs, "init", _init, "Write a commented config for data of your own.")
    _add_files(parser)
    add_runs_folder(parser)

    text = "Find a config for data of your own: try recommenders and options on the validation part within a budget."
    parser = add_verb(verbs, "auto", _auto, text)
    _add_files(parser)
    parser.add_argument("--budget", type=float, default=10, help="CPU minutes, reading included (default: 10)")
    parser.add_argument("--trials", type=int, help="at most so many fits of single recommenders")
    parser.add_argument("--seed", type=int, default=0, help="fixes the sequence of trials (default: 0)")
    add_runs_folder(parser)

    text = "Check a config; print it with every default filled in and where each value came from."
    add_config(add_verb(verbs, "check", _check, text))

    text = "Write the data of a config as Parquet, typed and once for all runs; a cluster reads it without the driver."
    parser = add_verb(verbs, "convert", _convert, text)
    add_config(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to make")

    parser = add_verb(verbs, "schema", _schema, "Write the JSON Schema of configs, for editors.")
    parser.add_argument("--output", default="genre.schema.json", help="file to write, - for standard output")

    add_config(add_verb(verbs, "diagram", _diagram, "Print the Mermaid diagram of a config's pipeline."))

    text = "List what can be configured: recommenders, metrics, data, split, features."
    parser = add_verb(verbs, "list", _list, text)
    parser.add_argument("what", nargs="?", default="recommenders")


def _add_files(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name a user's files and the config to write."""
    parser.add_argument("interactions", type=Path, help="file of interactions")
    parser.add_argument("items", type=Path, nargs="?", help="file of items with their text")
    parser.add_argument("--items", dest="items_too", metavar="ITEMS", type=Path, help="the same")
    parser.add_argument("--users", type=Path, help="file of users")
    roles = "user, item, rating, weight, timestamp, part, context or title"
    text = f"the column of a role whose name does not show it ({roles}), such as item=SKU"
    parser.add_argument("--column", action="append", default=[], metavar="ROLE=NAME", help=text)
    text = "shop, social, news, music, video, your own YAML file, or none (default: what the columns tell)"
    parser.add_argument("--domain", help=text)
    text = "lists leave out what a user had, or may repeat it (default: what trade and data tell)"
    parser.add_argument("--exclude-seen", action=argparse.BooleanOptionalAction, help=text)
    text = "file to write (default: genre.yaml)"
    parser.add_argument("--output", type=Path, default=Path("genre.yaml"), help=text)


def _items(args: argparse.Namespace) -> Path | None:
    """The file of items, which may stand at its place or behind --items."""
    if args.items is not None and args.items_too is not None:
        raise GenreError(f"two files of items, {args.items} and {args.items_too}; give one")
    items: Path | None = args.items or args.items_too
    return items


def _refuse_output(output: Path) -> None:
    """Raise GenreError where a config would replace a file or cannot be written."""
    if output.exists():
        raise GenreError(f"{output} exists; choose another --output")
    if not output.absolute().parent.is_dir():
        raise GenreError(f"{output}: cannot be written (there is no such folder); choose another --output")


def _auto(args: argparse.Namespace) -> None:
    from genre.auto import find_config
    from genre.config.starter import parse_columns
    from genre.evaluation.search_budget import Allowance
    from genre.log import ConsoleLog

    _refuse_output(args.output)
    found = find_config(
        args.interactions,
        _items(args),
        args.users,
        output=args.output,
        columns=parse_columns(args.column),
        domain=args.domain,
        exclude_seen=args.exclude_seen,
        allowance=Allowance(60 * args.budget, args.trials),
        seed=args.seed,
        runs=args.runs,
        log=ConsoleLog(),
    )
    _write(args.output, found.text)
    for name, (_, value) in found.winner.singles.items():
        print(f"{value:.4f}  {name}")
    _print_next(args)


def _init(args: argparse.Namespace) -> None:
    from genre.config.starter import first_config, parse_columns
    from genre.config.starter_facts import describe
    from genre.workspace import leave_dataset

    _refuse_output(args.output)
    kept: list[str] = []

    def keep(*made: Any) -> None:
        try:
            kept.append(
                f"kept the cleaned data in {leave_dataset(args.runs, *made)}, so that the first run reads no file"
            )
        except OSError as error:
            kept.append(f"{args.runs}: cannot be written ({error.strerror}), so the first run reads the files again")

    columns = parse_columns(args.column)
    files = args.interactions, _items(args), args.users
    first = first_config(
        *files, args.output, columns=columns, domain=args.domain, exclude_seen=args.exclude_seen, keep=keep
    )
    _write(args.output, first.text)
    print(*first.report.lines(), *describe(first.facts), *kept, sep="\n")
    _print_next(args)


def _print_next(args: argparse.Namespace) -> None:
    runs = [] if args.runs == "runs" else ["--runs", str(args.runs)]
    print(f"wrote {printable(str(args.output))}; next: {command('genre', 'run', str(args.output), *runs)}")


def _check(args: argparse.Namespace) -> None:
    from genre.config.origins import explain_config
    from genre.config.reading import read_config
    from genre.recommenders.network_base import check_devices, start_manifests

    config = read_config(args.config, args.overrides)
    print(explain_config(config))
    if gone := config.experiment.data.not_there():
        raise DataError(f"{args.config}: data: {', '.join(map(str, gone))}: no such file; check the path")
    for recommender in config.experiment.recommenders:
        start_manifests(recommender)  # raises where `init_from` names nothing that fits
        check_devices(recommender)
    for encoder in config.experiment.features.encoders():
        encoder.check_machine()


def _convert(args: argparse.Namespace) -> None:
    from genre.config.reading import read_config
    from genre.log import ConsoleLog
    from genre.preprocessing.sources.converted import convert

    _refuse_output(args.output)
    n = convert(read_config(args.config, args.overrides).experiment.data, args.output, log=ConsoleLog())
    where = printable(str(args.output))
    print(f"wrote {counted(n, 'interaction')}; in the config: data: {{kind: converted, folder: {where}}}")


def _schema(args: argparse.Namespace) -> None:
    from genre.config.schema import schema

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if args.output == "-":
        print(text, end="")
    else:
        _write(Path(args.output), text)
        print(f"wrote {args.output}")


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
