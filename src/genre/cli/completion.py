"""The verb completion: the script by which a shell completes verbs, options, configs and run folders."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from genre.cli.arguments import add_verb

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
FOLDERS = {"run", "runs", "other", "folder"}
FILES = {"config", "interactions", "items", "users", "output", "out", "store", "log", "target", "api_key_file"}


def add_completion_verb(verbs: Verbs) -> None:
    """Add the verb of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    text = "Print the completion script of a shell; for bash: genre completion bash >> ~/.bash_completion"
    add_verb(verbs, "completion", _completion, text).add_argument("shell", choices=SHELLS)


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Write the script that completes what a parser takes; it runs no Python when a key is pressed.

    Args:
        parser: the parser of all verbs.
        shell: one of `SHELLS`.

    Returns:
        The script.
    """
    import shtab

    for action in _arguments(parser):
        if action.dest in FOLDERS and not action.choices:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest in FILES and not action.choices:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return str(shtab.complete(parser, shell=shell))


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the arguments of a parser and of all verbs in it that take a value."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from _arguments(verb)
        elif action.nargs != 0:
            yield action


def _completion(args: argparse.Namespace) -> None:
    print(completion_script(args.all_verbs, args.shell))
