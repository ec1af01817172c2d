"""Messages of a Kafka topic, from where their consumer group was last read on. Knows no event."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from typing_extensions import override

from genre.display import counted
from genre.errors import DataError, NotAvailable, OptionError
from genre.log import SILENT, Log
from genre.serving.ingest.line_source import Line, LineSource

BROKER_SECONDS = 10.0  # for a broker's answer before reading begins, and for a note of how far was read
BATCH = 1000
MOMENT = 0.1
LOG_SECONDS = 10.0  # between two lines about the same trouble
QUIET = {"log_level": "0"}  # of the library itself, whose errors are written by the log of the verb
OWN_SETTINGS = {
    *("bootstrap.servers", "group.id", "enable.auto.commit", "auto.offset.reset", "enable.partition.eof"),
    "partition.assignment.strategy",
}


class KafkaTopic(LineSource):
    """Reads the messages of a topic as a member of a consumer group; each message is one line.

    How far was read is noted by the broker, in the group. Members of one group share the partitions of the topic.
    """

    def __init__(
        self,
        address: str,
        group: str,
        settings: Mapping[str, str] | None = None,
        *,
        follow: bool = False,
        log: Log = SILENT,
    ) -> None:
        """Connect to a broker.

        Args:
            address: `kafka://host:port/topic`, with commas between several brokers.
            group: The consumer group.
            settings: Further settings of librdkafka, such as those of TLS.
            follow: Wait for new messages.
            log: Gets a line where something is missing.

        Raises:
            OptionError: If the address or a setting is not legal.
            NotAvailable: If no broker answers, or there is no such topic.
        """
        parts = urlsplit(address)
        self._topic = parts.path.strip("/")
        if not parts.netloc or not self._topic or "/" in self._topic or parts.query or "@" in parts.netloc:
            raise OptionError(
                f"{address}: expected kafka://host:port/topic; users and passwords go into --kafka-config"
            )
        self._group, self._follow, self._log = group, follow, log
        self._read_to: dict[int, int] = {}  # the next offset by partition
        self._assigned: set[int] | None = None  # before the group has given out its partitions
        self._ended = set[int]()
        self._failure: DataError | None = None
        self._warned: dict[str, float] = {}
        try:
            self._consumer = Consumer(
                {**QUIET, **(settings or {}), **_settings(parts.netloc, group), "error_cb": self._warn}
            )
            known = self._consumer.list_topics(self._topic, timeout=BROKER_SECONDS).topics[self._topic]
            if known.error is not None:
                raise KafkaException(known.error)
            self._consumer.subscribe([self._topic], on_assign=self._begin_at)
        except KafkaException as error:
            raise NotAvailable(
                f"{address}: {_words(error)}; check the address, the topic and --kafka-config"
            ) from error

    def _begin_at(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin where the group was last read; at the oldest message where it never was."""
        try:
            committed = consumer.committed(partitions, timeout=BROKER_SECONDS)
            for partition in committed:
                low, high = consumer.get_watermark_offsets(partition, timeout=BROKER_SECONDS)
                partition.offset = self._first(partition, low, high)
            consumer.assign(committed)
        except KafkaException as error:
            self._failure = DataError(f"{self._topic}: {_words(error)}")
        self._assigned = {partition.partition for partition in partitions}
        self._ended = set()
        self._read_to = {}

    def _first(self, partition: TopicPartition, low: int, high: int) -> int:
        name, offset = f"{self._topic}/{partition.partition}", int(partition.offset)
        if offset < 0:
            return int(OFFSET_BEGINNING)
        if offset > high:
            self._failure = DataError(
                f"{name}: the group read up to {offset:,}, but the topic ends at {high:,}: it was made anew; give "
                "another --group to read it from the beginning"
            )
        if offset < low:
            self.n_lost += low - offset
            self._log.line(f"{name}: the broker removed {counted(low - offset, 'message')} that had not been read")
        return max(offset, low)

    @override
    def read(self) -> list[Line]:
        try:
            messages = self._consumer.consume(BATCH, MOMENT)
        except KafkaException as error:
            raise DataError(f"{self._topic}: {_words(error)}") from error
        if self._failure is not None:
            raise self._failure
        lines = []
        for message in messages:
            failure = message.error()
            if failure is None:
                self._ended.discard(message.partition())
                self._read_to[message.partition()] = message.offset() + 1
                lines.append(self._line(message))
            elif failure.code() == KafkaError._PARTITION_EOF:
                self._ended.add(message.partition())
            else:
                raise DataError(f"{self._topic}: {failure.str()}")
        self.at_end = not self._follow and self._assigned is not None and self._ended >= self._assigned
        return lines

    def _line(self, message: Message) -> Line:
        name, offset = f"{message.topic()}/{message.partition()}", message.offset()
        _, milliseconds = message.timestamp()
        sent = max(0, int(milliseconds))
        event_id = f"{name}:{offset}@{sent}"  # the time tells it from that of a topic of this name made anew
        return Line(name, f"{name} of {self._group}", offset, message.value(), event_id, sent // 1000)

    @override
    def keep(self) -> None:
        if not self._read_to:
            return
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in self._read_to.items()]
        self._read_to = {}
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:  # another member of the group has the partition now and reads them again
            self._log.line(f"{self._topic}: {_words(error)}; messages are read again, and count once")

    @override
    def close(self) -> None:
        self._consumer.close()

    def _warn(self, error: KafkaError) -> None:
        if time.monotonic() - self._warned.get(error.name(), -LOG_SECONDS) >= LOG_SECONDS:
            self._warned[error.name()] = time.monotonic()
            self._log.line(f"{self._topic}: {error.str()}")


def _settings(servers: str, group: str) -> dict[str, object]:
    """Return settings that no one may change: they decide what is read."""
    return {
        "bootstrap.servers": servers,
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "error",  # where a position is not in the topic, no messages are passed over in silence
        "enable.partition.eof": True,
    }


def _words(error: KafkaException) -> str:
    (found,) = error.args
    return found.str() if isinstance(found, KafkaError) else str(found)


def read_kafka_config(path: Path) -> dict[str, str]:
    """Read settings of librdkafka from a file, so that no password is on the command line.

    Args:
        path: A file with a line `name=value` for each; `#` begins a comment.

    Returns:
        The values by name.

    Raises:
        OptionError: If there is no such text file, a line is none, or names a setting that genre ingest makes itself.
    """
    settings = {}
    try:
        rows = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{path}: cannot be read ({error}); give --kafka-config a text file of name=value") from error
    for n, row in enumerate(rows, 1):
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in row.partition("="))
        if not equals or not name:
            raise OptionError(f"{path}, line {n}: expected name=value")
        if name in OWN_SETTINGS:
            raise OptionError(f"{path}, line {n}: {name} is set by genre ingest; leave it out")
        settings[name] = value
    return settings
