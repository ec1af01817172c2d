"""The verb recommend: lists for a user, for a history of titles, or for words."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from genre.cli.arguments import add_trust, add_verb
from genre.cli.batch import add_list_options, write_lists
from genre.defaults import DEFAULT_K
from genre.errors import GenreError, UnknownId

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs
    from genre.data.history import History
    from genre.runs import Recommended, Run

STAGE_SECONDS = 600.0  # a command has no list to fall back to, so it waits for a slow text encoder or recommender


def add_recommend_verb(verbs: Verbs) -> None:
    """Add the verb of this file.

    Args:
        verbs: the verbs of `genre`.
    """
    parser = add_verb(verbs, "recommend", _recommend, "Recommend items to a user of a run, or to a history of titles.")
    parser.usage = "%(prog)s run (--user ID | --history ITEM ... | --ask WORDS | --all --out FILE) [options]"
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--user", help="a user id of the data")
    parser.add_argument("--history", nargs="+", metavar="ITEM", default=[], help="ids or titles, oldest first")
    parser.add_argument("-k", "--k", type=int, default=DEFAULT_K, help=f"how many items (default: {DEFAULT_K})")
    text = "what to look for in words, alone or together with --user or --history"
    parser.add_argument("--ask", metavar="WORDS", help=text)
    parser.add_argument("--using", help="a recommender of the run (default: the best on validation)")
    text = "circumstances of the request, such as hour=21 device=phone, where a ranker of the run reads them"
    parser.add_argument("--context", nargs="+", metavar="NAME=VALUE", default=[], help=text)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--store", help="the event log, for deleted users (default: the SQLite file beside the run)")
    add_list_options(parser)
    add_trust(parser)


def _recommend(args: argparse.Namespace) -> None:
    from genre.cli.terminal import print_recommended
    from genre.run_folder import read_run

    run = read_run(args.run, trust=args.trust, lazy=True)
    if args.all or args.users or args.similar or args.out or args.with_reasons:
        write_lists(run, args)
        return
    _refuse_deleted(run, args)
    history = _history(run, args)
    if args.ask is None:
        rows = run.recommended(run.in_context(history, _context(args)), k=args.k, using=args.using)
    else:
        rows = _recommend_by_words(run, history, args)
    for trouble in run.llm_problems(args.using):
        print(trouble, file=sys.stderr)
    if args.json:
        print(json.dumps([vars(row) for row in rows], ensure_ascii=False, indent=2))
    else:
        print_recommended(rows)


def _refuse_deleted(run: Run, args: argparse.Namespace) -> None:
    """Raise UnknownId for a user whom the event log says to forget, though the run was made before."""
    from genre.serving.deleted_users import users_to_hide

    if args.user is None or args.user not in run.dataset.user_ids:
        return
    hidden = users_to_hide(run, args.store)
    if hidden is not None and hidden[run.dataset.user_ids.row(args.user)]:
        raise UnknownId("this user was deleted; refresh the run to forget the user in its data too")


def _history(run: Run, args: argparse.Namespace) -> History:
    if args.user is not None and args.history:
        raise GenreError("--user and --history exclude each other: a history is that of a user the data does not have")
    if args.user is None and not args.history and args.ask is None:
        raise GenreError("say for whom: --user ID of the data, --history with ids or titles, or --ask in words")
    return run.history_of(args.history) if args.user is None else run.history_of_user(args.user)


def _context(args: argparse.Namespace) -> dict[str, str]:
    """Return what --context says, as names and values."""
    pairs = [(name, value) for name, equals, value in (one.partition("=") for one in args.context) if equals and value]
    if len(dict(pairs)) < len(args.context):
        raise GenreError(f"--context {' '.join(args.context)}: expected NAME=VALUE, each name once, such as hour=21")
    return dict(pairs)


def _recommend_by_words(run: Run, history: History, args: argparse.Namespace) -> list[Recommended]:
    from genre.runs import Recommended
    from genre.serving.events.sqlite import SQLiteStore
    from genre.serving.limits import Limits
    from genre.serving.requests import ListRequest
    from genre.serving.service import Service

    if run.item_encoder is None:
        raise GenreError(f"{args.run}: its config has no features.items, and words are matched against those")
    past = None if args.user is not None else tuple(run.dataset.item_ids.take(history.item))
    given = {"k": args.k, "recommender": args.using, "context": tuple(_context(args).items())}
    request = ListRequest(user_id=args.user, history=past, words=args.ask, **given)
    with tempfile.TemporaryDirectory() as folder:
        limits = Limits(model_seconds=STAGE_SECONDS, words_seconds=STAGE_SECONDS)
        with closing(Service([run], SQLiteStore(Path(folder) / "events.sqlite"), limits=limits)) as service:
            answer = service.recommend(request)
    return [Recommended(**item) for item in answer.items]
