"""A small Spark cluster on this machine for tests and benchmarks: two executors of one core, each its own process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from genre.engines.spark import Spark

MASTER = "local-cluster[2,1,1024]"
QUICK = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"  # less is compiled, so it starts sooner
SETTINGS = {
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": QUICK,
    "spark.executor.extraJavaOptions": QUICK,
}


@contextmanager
def small_cluster(home: Path, master: str = MASTER) -> Iterator[Spark]:
    """An engine, whose session starts when it is first used.

    home: a folder of links to the package, because the cluster writes its logs beside it; it has to be there as long as
    this process, whose JVM stays when a session ends.
    """
    import pyspark

    for name in ("bin", "jars", "python"):
        if not (home / name).exists():
            (home / name).symlink_to(Path(pyspark.__file__).parent / name)
    places = {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    with mock.patch.dict(os.environ, places), Spark(master=master, partitions=4, settings=SETTINGS) as engine:
        yield engine
