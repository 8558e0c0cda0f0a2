"""A real Apache Kafka for tests and benchmarks: from the environment, from a container, or from Maven's jars and a Java."""

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KAFKA = "4.4.0"
SCALA = "2.13"
LOG4J_BINDING = "2.25.5"
IMAGE = f"apache/kafka:{KAFKA}"
HOW_TO_ADD = "sudo apt-get install -y default-jre-headless maven   (or set MUSUBI_TEST_KAFKA=host:port)"

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>musubi</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_{SCALA}</artifactId><version>{KAFKA}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>{LOG4J_BINDING}</version></dependency>
  </dependencies>
</project>
"""

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""

QUIET = """
status = error
rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {folder}/kafka.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c %m%n
"""


class NoKafka(Exception):
    """No real Kafka can be had on this machine; the message says what was missing."""


@contextmanager
def running() -> Iterator[str]:
    """The address of a real Kafka while the block runs. Raises `NoKafka`, with the reason, where none can be had."""
    given = os.environ.get("MUSUBI_TEST_KAFKA", "")
    if given:
        yield given
    elif _container_engine_answers():
        with _in_a_container() as address:
            yield address
    else:
        with from_jars() as address:
            yield address


@contextmanager
def from_jars() -> Iterator[str]:
    """One broker from Maven's jars on free ports, its data in a temporary folder."""
    libraries = _jars()
    folder = Path(tempfile.mkdtemp(prefix="musubi-kafka-"))
    port, controller = _free_port(), _free_port()
    (folder / "server.properties").write_text(PROPERTIES.format(port=port, controller=controller, logs=folder / "data"))
    (folder / "log4j2.properties").write_text(QUIET.format(folder=folder))
    java = [
        "java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}", "-cp", f"{libraries}/*",
    ]  # fmt: skip
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    with (folder / "output").open("w") as output:
        # A cluster id that begins with "-" would be read as an option.
        format_log = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(folder / "server.properties")]
        subprocess.run([*java, *format_log], check=True, stdout=output, stderr=output)
        broker = subprocess.Popen(
            [*java, "kafka.Kafka", str(folder / "server.properties")], stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_for_port(port, broker, folder)
        yield f"127.0.0.1:{port}"
    finally:
        broker.send_signal(signal.SIGTERM)
        try:
            broker.wait(15)
        except subprocess.TimeoutExpired:
            broker.kill()
            broker.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _in_a_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    port = _free_port()
    advertised = f"PLAINTEXT://127.0.0.1:{port}"
    container = (
        DockerContainer(IMAGE)
        .with_bind_ports(9092, port)
        .with_env("KAFKA_NODE_ID", "1")
        .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093")
        .with_env("KAFKA_ADVERTISED_LISTENERS", advertised)
        .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    )
    with container:
        _wait_for_metadata(f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}"


def _container_engine_answers() -> bool:
    try:
        import docker

        docker.from_env(timeout=3).ping()
    except Exception:  # noqa: BLE001  no client, no engine, no permission: all mean that we look elsewhere
        return False
    return True


def _jars() -> Path:
    """The folder with Kafka's jars, fetched by Maven once and kept in the user's cache."""
    if not shutil.which("java"):
        raise NoKafka("no Java (17 or newer) is installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "musubi" / f"kafka-{KAFKA}"
    if (cache / "complete").exists():
        return cache / "libs"
    if not shutil.which("mvn"):
        raise NoKafka("Maven is not installed, and no Kafka jars are in the cache")
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "pom.xml").write_text(POM)
    copy = ["mvn", "-q", "-B", "-Dstyle.color=never", "dependency:copy-dependencies"]
    copy += ["-DincludeScope=runtime", "-DoutputDirectory=libs"]
    done = subprocess.run(copy, cwd=cache, capture_output=True, text=True, check=False)
    if done.returncode:
        why = next((line for line in (done.stdout + done.stderr).splitlines() if "[ERROR]" in line), "no reason given")
        raise NoKafka(f"Maven could not fetch Kafka: {why.removeprefix('[ERROR] ')[:300]}")
    (cache / "complete").touch()
    return cache / "libs"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_port(port: int, broker: subprocess.Popen[bytes], folder: Path, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and broker.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise NoKafka(f"Kafka did not start: {(folder / 'output').read_text()[-1000:]}")


def _wait_for_metadata(address: str, timeout: float = 60) -> None:
    from confluent_kafka.admin import AdminClient

    AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=timeout)
