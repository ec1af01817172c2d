"""Arguments that several verbs share. Does not know what a verb does."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]

RUN_FIRST = "%(prog)s run [options]"
"""Usage of a verb with an option of several values: a run behind that option would be read as one more value."""


def add_verb(
    verbs: Verbs, name: str, action: Callable[[argparse.Namespace], int | None], text: str
) -> argparse.ArgumentParser:
    """Add a verb to the command line.

    Args:
        verbs: the verbs of `genre`, or of a verb with verbs of its own.
        name: the word typed.
        action: called with the parsed arguments; returns the exit status, None for 0.
        text: one sentence for `--help`.

    Returns:
        The parser of the verb, for its arguments.
    """
    parser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(action=action, parser=parser)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the arguments `config` and `key=value ...`.

    Args:
        parser: the parser of a verb.
    """
    parser.add_argument("config", help="a YAML file")
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """Add the arguments `key=value ...`.

    Args:
        parser: the parser of a verb.
    """
    text = "overrides, such as evaluation.k=20"
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=text)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the option `--trust`.

    Args:
        parser: the parser of a verb.
    """
    text = "run code of the run folder too: classes of its author's own, which its config names"
    parser.add_argument("--trust", action="store_true", help=text)


def add_runs_folder(parser: argparse.ArgumentParser) -> None:
    """Add the option `--runs`.

    Args:
        parser: the parser of a verb.
    """
    parser.add_argument("--runs", default="runs", help="where run folders are kept (default: runs)")
