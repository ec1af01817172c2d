"""The verb `ingest`: events from growing files, standard input and Kafka into the event log of a service."""

from __future__ import annotations

import argparse
import signal
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

from genre.cli.arguments import add_trust, add_verb
from genre.errors import NotAvailable, OptionError
from genre.log import ConsoleLog, Log, printable

if TYPE_CHECKING:
    from genre.cli.arguments import Verbs
    from genre.serving.ingest.line_source import LineSource
    from genre.serving.ingest.positions import Positions

STANDARD_INPUT = "-"
KAFKA = "kafka://"


def add_ingest_verb(verbs: Verbs) -> None:
    """Add the verb `ingest`.

    Args:
        verbs: the verbs of `genre`.
    """
    text = "Record events, one JSON object a line as POST /v1/events takes them, in the event log; servers may go on."
    parser = add_verb(verbs, "ingest", _ingest, text)
    parser.add_argument("run", type=Path, help="the run whose config says what kinds of events weigh")
    text = "files, kafka://HOST:PORT/TOPIC, or - for standard input (default)"
    parser.add_argument("sources", nargs="*", default=[STANDARD_INPUT], metavar="SOURCE", help=text)
    text = "go on at the end: as files grow and are rotated, as messages come, and until the log can be written again"
    parser.add_argument("--follow", action="store_true", help=text)
    parser.add_argument("--store", help="SQLite file or postgresql:// address of the event log (default: beside it)")
    text = "folder for positions in files, and for rejected lines (default: beside the run, such as runs/movies.ingest)"
    parser.add_argument("--state", type=Path, metavar="FOLDER", help=text)
    text = "a name of standard input that stays when the same input is sent again: events without an id count once"
    parser.add_argument("--stream", metavar="NAME", help=text)
    parser.add_argument("--group", default="genre", help="consumer group in Kafka (default: genre)")
    text = "file with settings of librdkafka, name=value a line, such as those of TLS and the password"
    parser.add_argument("--kafka-config", type=Path, metavar="FILE", help=text)
    add_trust(parser)


def _ingest(args: argparse.Namespace) -> int:
    from concurrent.futures import ThreadPoolExecutor

    from genre.serving.events.opening import default_store_path, open_store
    from genre.serving.ingest.event_reader import EventReader
    from genre.serving.ingest.ingestion import Ingestion
    from genre.serving.ingest.positions import Positions, Rejects

    _check(args)
    log = ConsoleLog()
    reader = EventReader(args.run, trust=args.trust)
    beside = default_store_path(args.run)
    folder = args.state or beside.with_name(f"{beside.name.removesuffix('.events.sqlite')}.ingest")
    with ExitStack() as opened:
        positions = opened.enter_context(closing(Positions(folder)))
        rejects = opened.enter_context(closing(Rejects(folder / "rejects.jsonl")))
        sources = [opened.enter_context(closing(_source(one, args, positions, log))) for one in args.sources]
        store = opened.enter_context(closing(open_store(args.store or beside)))
        ingestion = Ingestion(sources, reader, store, positions, rejects, follow=args.follow, log=log)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        try:  # in a thread of its own: the main thread handles signals, and must not hold the event's lock then
            with ThreadPoolExecutor(1) as pool:
                pool.submit(ingestion.go_on, stop).result()
        finally:
            print(printable(f"{ingestion.counts}{f' ({rejects.path})' if ingestion.counts.rejected else ''}"))
    if ingestion.n_lost:
        print(f"gone before they could be read: {ingestion.n_lost:,} (see above)")
    return 1 if ingestion.counts.rejected or ingestion.n_lost else 0


def _check(args: argparse.Namespace) -> None:
    if len(set(args.sources)) < len(args.sources):
        raise OptionError(f"the same source twice: {' '.join(args.sources)}; name each once")
    if args.kafka_config is not None and not any(source.startswith(KAFKA) for source in args.sources):
        raise OptionError(f"--kafka-config is for topics of Kafka; name one, such as {KAFKA}HOST:PORT/TOPIC")
    if args.stream is not None and STANDARD_INPUT not in args.sources:
        raise OptionError("--stream is a name of standard input; files and topics have their own places")


def _source(name: str, args: argparse.Namespace, positions: Positions, log: Log) -> LineSource:
    if name == STANDARD_INPUT:
        from genre.serving.ingest.standard_input import StandardInput

        return StandardInput(args.stream)
    if name.startswith(KAFKA):
        try:
            from genre.serving.ingest.kafka_topic import KafkaTopic, read_kafka_config
        except ImportError as error:
            raise NotAvailable("events from Kafka need confluent-kafka: pip install 'genre-rec[kafka]'") from error
        settings = {} if args.kafka_config is None else read_kafka_config(args.kafka_config)
        return KafkaTopic(name, args.group, settings, follow=args.follow, log=log)
    from genre.serving.ingest.growing_file import GrowingFile

    return GrowingFile(Path(name), positions, follow=args.follow, log=log)
