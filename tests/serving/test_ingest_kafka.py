"""`genre ingest kafka://...`, against the mock cluster of librdkafka: no real broker is tried."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from genre.data.parquet import write_dataset
from genre.errors import DataError, NotAvailable, OptionError
from genre.serving.events.sqlite import SQLiteStore
from genre.serving.events.store import Event
from genre.storage import publish
from genre.testing import toy_dataset
from lines import Lines
from sizes import sized

kafka = pytest.importorskip("confluent_kafka", reason="an extra of 5 MB, which `make nightly` installs")
topic_module = pytest.importorskip("genre.serving.ingest.kafka_topic")
KafkaTopic, read_kafka_config = topic_module.KafkaTopic, topic_module.read_kafka_config


class Broker:
    """A cluster inside a producer, with its partitions in memory."""

    def __init__(self) -> None:
        self.producer = kafka.Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
        until = time.monotonic() + 30
        while not (found := self.producer.list_topics(timeout=10).brokers) and time.monotonic() < until:
            time.sleep(0.05)
        (broker,) = found.values()
        self.address = f"{broker.host}:{broker.port}"

    def send(self, topic: str, values: list[bytes | None], partition: int = 0, at: int = 5_000_000) -> None:
        for value in values:
            self.producer.produce(topic, value, partition=partition, timestamp=at)
        assert self.producer.flush(30) == 0


@pytest.fixture(scope="module")
def broker() -> Broker:
    return Broker()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "toy-12345678"
    with publish(place, best_first=["popularity"]) as aside:
        config = "name: toy\ndata: {kind: files, interactions: x.csv}\nrecommenders: [{kind: popularity}]\n"
        (aside / "config.full.yaml").write_text(config)
        write_dataset(toy_dataset(), aside / "dataset" / "tables")
    return place


def values(numbers: range, **more: Any) -> list[bytes | None]:
    return [json.dumps({"user_id": f"u{n % 3}", "item_id": f"i{n}", "kind": "click", **more}).encode() for n in numbers]


def ingest(folder: Path, address: str, place: Path, *more: str) -> subprocess.Popen[str]:
    settings = place / "kafka.properties"  # the mock cluster keeps a member that has left until its session ends
    settings.write_text("session.timeout.ms=3000\nheartbeat.interval.ms=300\n")
    where = ["--store", str(place / "log.sqlite"), "--state", str(place / "state"), "--kafka-config", str(settings)]
    words = [sys.executable, "-m", "genre", "ingest", str(folder), address, *where, *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def events(place: Path) -> list[Event]:
    with closing(SQLiteStore(place / "log.sqlite")) as store:
        return [entry for entry in store.entries() if isinstance(entry, Event)]


def test_messages_of_all_partitions_are_recorded_once(folder: Path, tmp_path: Path, broker: Broker) -> None:
    broker.send("whole", values(range(50)))
    broker.send("whole", [*values(range(50, 80), timestamp=7), b"no event", None], partition=1)
    address = f"kafka://{broker.address}/whole"
    first = ingest(folder, address, tmp_path)
    out, _ = first.communicate(timeout=120)
    assert "82 lines: 80 events recorded, 0 in the log before, 2 rejected" in out
    assert first.returncode == 1
    kept = events(tmp_path)
    assert sorted(int(one.item_id[1:]) for one in kept) == list(range(80))
    assert {one.timestamp for one in kept} == {5000, 7}, "the time of the message, where the event has none"
    broker.send("whole", values(range(80, 90)))
    out, _ = ingest(folder, address, tmp_path).communicate(timeout=120)
    assert "10 lines: 10 events recorded" in out, "the group goes on where it was"
    out, _ = ingest(folder, address, tmp_path, "--group", "other").communicate(timeout=120)
    assert "92 lines: 0 events recorded, 90 in the log before, 2 rejected" in out


def test_kill_9_loses_and_doubles_nothing(folder: Path, tmp_path: Path, broker: Broker) -> None:
    address, n = f"kafka://{broker.address}/killed", 0
    for at in range(sized(2, 10)):
        broker.send("killed", values(range(n, n + 3000)), partition=at % 2)
        n += 3000
        before = len(events(tmp_path))
        child = ingest(folder, address, tmp_path, "--follow")
        until = time.monotonic() + 60
        while len(events(tmp_path)) == before and time.monotonic() < until:
            time.sleep(0.2)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        assert len(events(tmp_path)) > before
    last = ingest(folder, address, tmp_path, "--follow")
    until = time.monotonic() + 120
    while len(events(tmp_path)) < n and time.monotonic() < until:
        time.sleep(0.3)
    last.send_signal(signal.SIGTERM)
    last.communicate(timeout=60)
    assert sorted(int(one.item_id[1:]) for one in events(tmp_path)) == list(range(n))


def test_messages_that_are_gone_are_said_and_a_topic_made_anew_is_refused(broker: Broker) -> None:
    log = Lines()
    broker.send("gone", values(range(1)))
    topic = KafkaTopic(f"kafka://{broker.address}/gone", "any", log=log)
    first = kafka.TopicPartition("gone", 0, 5)
    assert topic._first(first, 9, 20) == 9
    assert (topic.n_lost, log.lines) == (4, ["gone/0: the broker removed 4 messages that had not been read"])
    assert topic._first(kafka.TopicPartition("gone", 0), 9, 20) == kafka.OFFSET_BEGINNING
    topic._first(kafka.TopicPartition("gone", 0, 21), 0, 20)
    with pytest.raises(DataError, match="it was made anew; give another --group"):
        topic.read()
    topic.close()


@pytest.mark.parametrize(
    "address", ["kafka://x", "kafka:///t", "kafka://u:p@x:1/t", "kafka://x:1/a/b", "kafka://x/t?y=1"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match="expected kafka://host:port/topic"):
        KafkaTopic(address, "g")


def test_settings_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_module, "BROKER_SECONDS", 1.0)
    path = tmp_path / "kafka.properties"
    path.write_text("# of our cluster\nsecurity.protocol = SASL_SSL\n\nsasl.password=a=b\n")
    assert read_kafka_config(path) == {"security.protocol": "SASL_SSL", "sasl.password": "a=b"}
    for text, message in (("nothing", "line 1: expected name=value"), ("group.id=x", "leave it out")):
        path.write_text(text)
        with pytest.raises(OptionError, match=message):
            read_kafka_config(path)
    with pytest.raises(NotAvailable, match="No such configuration property"):
        KafkaTopic("kafka://127.0.0.1:1/t", "g", {"no.such.setting": "1"})
    with pytest.raises(NotAvailable, match="check the address"):
        KafkaTopic("kafka://127.0.0.1:1/t", "g")
