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
listeners=PLAINTEXT://127.0.0.1:{port},BEHIND://127.0.0.1:{behind},NAMED://127.0.0.1:{named},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},BEHIND://127.0.0.1:{advertised},NAMED://127.0.0.1:{named}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,BEHIND:PLAINTEXT,NAMED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.named.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.named.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.dirs={logs}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
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
def from_jars(*, advertised: int = 0) -> Iterator[str]:
    """The address of one broker from Maven's jars while the block runs; for `advertised` see `KafkaServer`."""
    server = KafkaServer(advertised=advertised)
    try:
        server.start()
        yield server.address
    finally:
        server.close()


class KafkaServer:
    """One broker from Maven's jars on free ports, its data in a temporary folder; may be killed and started again on it.

    It has three listeners: `address` is itself; whoever comes by `behind` is told to go on at 127.0.0.1:`advertised`, where
    a proxy to `behind` listens. So tests look in directly while the system goes through the proxy. `named` asks for a name and
    a password (SCRAM-SHA-512), and who has one may do what was allowed; on the other two everybody may do everything."""

    def __init__(self, *, advertised: int = 0) -> None:
        """Raises `NoKafka`."""
        libraries = jars()
        self._folder = Path(tempfile.mkdtemp(prefix="musubi-kafka-"))
        self._port, behind, named, controller = (free_port() for _ in range(4))
        self.address = f"127.0.0.1:{self._port}"
        self.behind = f"127.0.0.1:{behind}"
        self.named = f"127.0.0.1:{named}"
        self._broker: subprocess.Popen[bytes] | None = None
        properties = PROPERTIES.format(
            port=self._port,
            behind=behind,
            advertised=advertised or behind,
            named=named,
            controller=controller,
            logs=self._folder / "data",
        )
        (self._folder / "server.properties").write_text(properties)
        (self._folder / "log4j2.properties").write_text(QUIET.format(folder=self._folder))
        self._java = [
            "java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}", "-cp", f"{libraries}/*",
        ]  # fmt: skip
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        with (self._folder / "output").open("w") as output:
            # A cluster id that begins with "-" would be read as an option.
            format_log = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", self._properties]
            subprocess.run([*self._java, *format_log], check=True, stdout=output, stderr=output)

    @property
    def _properties(self) -> str:
        return str(self._folder / "server.properties")

    @property
    def pid(self) -> int:
        """The process id, for signals; only while it runs."""
        assert self._broker
        return self._broker.pid

    def start(self) -> None:
        """Start, or start again on the same data and ports; returns when it answers as leader of all its partitions."""
        assert self._broker is None
        with (self._folder / "output").open("a") as output:
            self._broker = subprocess.Popen(
                [*self._java, "kafka.Kafka", self._properties], stdout=output, stderr=output, start_new_session=True
            )
        _wait_for_port(self._port, self._broker, self._folder)
        _wait_for_metadata(self.address)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop politely; the data stay."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Stop, and forget the data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        broker, self._broker = self._broker, None
        if broker is None:
            return
        broker.send_signal(number)
        try:
            broker.wait(15)
        except subprocess.TimeoutExpired:
            broker.kill()
            broker.wait()


@contextmanager
def _in_a_container() -> Iterator[str]:
    from testcontainers.core.container import DockerContainer

    port = free_port()
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
        .with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
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


def jars() -> Path:
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


def free_port() -> int:
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
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        with suppress(KafkaException):
            known = admin.list_topics(timeout=5)
            if known.brokers and all(p.leader >= 0 for topic in known.topics.values() for p in topic.partitions.values()):
                return
        time.sleep(0.05)
    raise NoKafka(f"Kafka at {address} does not lead its partitions")
