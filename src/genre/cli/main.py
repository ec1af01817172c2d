"""The entry point of the command `genre`: its parser, and errors as one line on standard error with exit status 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from genre.cli.completion import add_completion_verb
from genre.cli.data import add_data_verbs
from genre.cli.event_log import add_log_verbs
from genre.cli.export import add_export_verb
from genre.cli.ingest import add_ingest_verb
from genre.cli.llm import add_llm_verbs
from genre.cli.new_package import add_new_verb
from genre.cli.online import add_online_verbs
from genre.cli.recommend import add_recommend_verb
from genre.cli.run import add_run_verbs
from genre.cli.run_list import add_runs_verb
from genre.cli.serve import add_serving_verbs
from genre.errors import GenreError
from genre.log import printable
from genre.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words behind `genre`; None for those of the process.

    Returns:
        The exit status: 0, 1 for an audit that found leaks or an ingestion that rejected or missed lines, 2 for an
        error, 130 when interrupted.
    """
    parser = command_parser()
    args, rest = parser.parse_known_args(argv)
    if rest:  # overrides may stand behind an option, where argparse does not look for them
        if not hasattr(args, "overrides") or any(word.startswith("-") or "=" not in word for word in rest):
            getattr(args, "parser", parser).error(f"unrecognized arguments: {' '.join(rest)}")
        args.overrides = [*args.overrides, *rest]
    if not hasattr(args, "action"):
        parser.print_help()
        return 0
    try:
        return args.action(args) or 0
    except GenreError as error:  # a mistake of the user or the data, in words; others keep their traceback
        print(printable(str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue after the last finished step", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except PermissionError as error:
        print(f"{printable(str(error.filename))}: {error.strerror}; check who may read and write it", file=sys.stderr)
        return 2
    except OSError as error:  # a full disk, a file that may not be written
        text = printable(str(error))
        print(f"{text}; finished steps are kept, run the same command again to continue", file=sys.stderr)
        return 2


def command_parser() -> argparse.ArgumentParser:
    """Build the parser of all verbs.

    Returns:
        A parser whose result holds the verb's function as `action`, its parser as `parser`, and itself as `all_verbs`.
    """
    parser = argparse.ArgumentParser(prog="genre", description="A recommendation engine built on language models.")
    parser.set_defaults(all_verbs=parser)
    parser.add_argument("--version", action="version", version=f"genre {__version__}")
    verbs = parser.add_subparsers(metavar="VERB")
    for add_verbs in (
        add_data_verbs,
        add_run_verbs,
        add_recommend_verb,
        add_serving_verbs,
        add_online_verbs,
        add_ingest_verb,
        add_log_verbs,
        add_llm_verbs,
        add_runs_verb,
        add_export_verb,
        add_new_verb,
        add_completion_verb,
    ):
        add_verbs(verbs)
    return parser
