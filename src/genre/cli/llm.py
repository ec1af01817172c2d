"""Verbs about language models: llm plan, llm log."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from genre.cli.arguments import add_config, add_runs_folder, add_verb
from genre.log import ConsoleLog

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs

OUTCOMES = ("ok", "failed", "truncated", "refused", "valid", "repaired", "quarantined")


def add_llm_verbs(verbs: Verbs) -> None:
    """Add the verb `llm` with its own verbs.

    Args:
        verbs: the verbs of `genre`.
    """
    text = "What a language model would cost, and what was sent to it."
    inner = verbs.add_parser("llm", help=text, description=text).add_subparsers(metavar="VERB", required=True)

    text = "Count calls, tokens, time and price of all that a run would send, before anything is sent."
    parser = add_verb(inner, "plan", _plan, text)
    add_config(parser)
    add_runs_folder(parser)

    parser = add_verb(inner, "log", _log, "Show the newest exchanges with language models.")
    text = "a run, a config or a ledger file (default: the user's own ledger)"
    parser.add_argument("source", nargs="?", help=text)
    parser.add_argument("--last", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--outcome", choices=OUTCOMES, metavar="WORD", help=f"only those: {', '.join(OUTCOMES)}")
    parser.add_argument("--id", type=int, help="one of them, in full")


def _plan(args: argparse.Namespace) -> None:
    from genre.cli.llm_tables import print_plan
    from genre.llm_usage import plan_llm

    print_plan(plan_llm(args.config, overrides=args.overrides, runs=args.runs, log=ConsoleLog()))


def _log(args: argparse.Namespace) -> None:
    from genre.cli.llm_tables import print_exchange, print_exchanges
    from genre.llm_usage import exchanges_of

    found = exchanges_of(args.source, last=args.last, outcome=args.outcome, number=args.id)
    print_exchanges(found) if args.id is None else print_exchange(found[0])
