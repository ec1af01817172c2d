"""Verbs around a running service: serve, mcp, refresh."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from genre.cli.arguments import RUN_FIRST, add_trust, add_verb
from genre.cli.shell import command
from genre.errors import DriftError, OptionError
from genre.log import ConsoleLog, printable

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs
    from genre.config.serving_options import ServingOptions
    from genre.serving.http.app import AddRoutes


def add_serving_verbs(verbs: Verbs) -> None:
    """Add the verbs of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    parser = add_verb(verbs, "serve", _serve, "Answer over HTTP, with a page at /.")
    _add_server_options(parser)

    parser = add_verb(
        verbs, "mcp", _mcp, "Answer agents by the Model Context Protocol, over standard input and output."
    )
    text = "over HTTP in place of that: all that `genre serve` serves, and the protocol at /mcp, under the same keys"
    parser.add_argument("--http", action="store_true", help=text)
    _add_server_options(parser)

    parser = add_verb(
        verbs, "refresh", _refresh, "Learn again from a run's data and event log; a running server loads the result."
    )
    parser.usage = RUN_FIRST
    parser.add_argument("run", help="a run folder")
    _add_store(parser)
    add_trust(parser)
    text = "items that may rise in many lists though few users interacted with them; without ids: all"
    parser.add_argument("--accept", nargs="*", metavar="ITEM", help=text)
    text = "how far an item may rise, such as rise=0.1 (of all lists) or backing=0.01; docs/serving.md lists all"
    parser.add_argument("--drift", action="append", default=[], metavar="NAME=VALUE", help=text)
    text = (
        "how much worse the new run may be, such as margin=0.05 or unsure=hold, in place of the config's serving.gate"
    )
    parser.add_argument("--gate", action="append", default=[], metavar="NAME=VALUE", help=text)
    parser.add_argument("--no-gate", action="store_true", help="put the new run in place however good it is")
    parser.add_argument("--roll-back", action="store_true", help="go back to the run that the last refresh replaced")


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders; users are split over several")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    _add_store(parser)
    add_trust(parser)
    text = (
        "file of keys that callers must send, one a line, each perhaps with its scopes: KEY read,events (default: all)"
    )
    parser.add_argument("--api-key-file", type=Path, metavar="FILE", help=text)
    text = "page of others that may use the service from a browser, such as https://shop.example (default: none)"
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help=text)
    text = "such as rate=20 (requests a second from one address) or model_seconds=2; docs/serving.md lists all"
    parser.add_argument("--limit", action="append", default=[], metavar="NAME=VALUE", help=text)
    text = "refresh the runs at this interval, such as 6h; each in a process of its own (default: never)"
    parser.add_argument("--refresh-every", metavar="INTERVAL", help=text)
    text = "YAML file with the section serving: in place of that of the first run's config, such as for an experiment"
    parser.add_argument("--serving", type=Path, metavar="FILE", help=text)
    text = "share of the users that a run gets, by its name, such as movies=0.9 (default: equal shares)"
    parser.add_argument("--share", action="append", default=[], metavar="RUN=SHARE", help=text)


def _add_store(parser: argparse.ArgumentParser) -> None:
    text = "SQLite file or postgresql:// address of the event log (default: beside the run)"
    parser.add_argument("--store", help=text)


def _serving_options(args: argparse.Namespace) -> ServingOptions | None:
    """Read the options that stand in place of those of the first run's config."""
    from genre.config.reading import read_serving_options

    return None if args.serving is None else read_serving_options(args.serving)


def _serve(args: argparse.Namespace, add: AddRoutes | None = None) -> None:
    from genre.run_folder import read_run
    from genre.serving.http.server import serve
    from genre.serving.limits import Limits, parse_settings, parse_shares

    limits, shares = parse_settings(Limits, args.limit), parse_shares(args.share)
    read = partial(read_run, trust=args.trust)
    options = _serving_options(args)
    serve(
        [read(folder) for folder in args.runs],
        host=args.host,
        port=args.port,
        store=args.store,
        api_keys=args.api_key_file,
        origins=args.allow_origin,
        limits=limits,
        options=options,
        refresh_every=args.refresh_every,
        trust=args.trust,
        shares=shares,
        read=read,
        add=add,
        log=ConsoleLog(),
    )


def _mcp(args: argparse.Namespace) -> None:
    from contextlib import redirect_stdout

    from genre.serving.mcp import add_mcp_route, serve_stdio

    if args.http:
        _serve(args, add_mcp_route)
        return
    if args.api_key_file or args.allow_origin or args.refresh_every:
        raise OptionError("keys, origins and refreshes are of HTTP; add --http, or leave them out")
    from genre.run_folder import read_run
    from genre.serving.events.opening import open_store
    from genre.serving.http.server import default_store
    from genre.serving.limits import Limits, parse_settings, parse_shares
    from genre.serving.service import Service

    limits, shares = parse_settings(Limits, args.limit), parse_shares(args.share)
    with redirect_stdout(sys.stderr):  # standard output is the protocol's
        runs = [read_run(folder, trust=args.trust) for folder in args.runs]
        store = open_store(args.store or default_store(runs))
        store.claim()
        options = _serving_options(args)
        service = Service(runs, store, shares=shares, limits=limits, options=options)
    serve_stdio(service)


def _refresh(args: argparse.Namespace) -> None:
    from genre.config.reading import FULL_CONFIG, read_config
    from genre.config.serving_options import Gate
    from genre.run_folder import manifest_of
    from genre.serving.events.opening import default_store_path, open_store
    from genre.serving.limits import parse_settings
    from genre.serving.pushed_items import Drift
    from genre.serving.refresh import refresh, roll_back
    from genre.studies import remake

    run = Path(args.run).resolve()
    if args.roll_back:
        roll_back(run)
        print(f"{printable(str(run))} is the run it was before; the same command undoes this")
        return
    manifest_of(run)
    drift = parse_settings(Drift, args.drift)
    accept = None if args.accept == [] else args.accept or ()
    gate = None
    if not args.no_gate:
        of_config = read_config(run / FULL_CONFIG, trust=args.trust).experiment.serving.gate
        gate = parse_settings(Gate, args.gate) if args.gate else of_config
    with closing(open_store(args.store or default_store_path(run), must_exist=True)) as store:
        try:
            make = partial(remake, trust=args.trust)
            given = {"drift": drift, "accept": accept, "gate": gate, "trust": args.trust}
            if not refresh(run, store, make, log=ConsoleLog(), **given):
                return
        except DriftError as error:
            accepting = _accepting_command(args, run, [*(accept or ()), *error.items])
            raise DriftError(f"{error}\nTo accept (without ids: all): {accepting}", error.items) from None
    undo = command("genre", "refresh", str(run), "--roll-back")
    print(printable(f"Refreshed: {run}\nReport:    {run / 'report.html'}\nUndo:      {undo}"))


def _accepting_command(args: argparse.Namespace, run: Path, items: list[str]) -> str:
    store = ["--store", args.store] if args.store else []
    limits = [f"--drift={limit}" for limit in args.drift] + [f"--gate={setting}" for setting in args.gate]
    limits += ["--no-gate"] * args.no_gate + ["--trust"] * args.trust
    return command("genre", "refresh", str(run), *store, *limits, "--accept", *items)
