#!/usr/bin/env python3
"""A local Kafka 4 of one or three nodes, without Docker: Java 17 and Maven are all it takes.

    deploy/kafka/local_kafka.py start --nodes 3    prints the address for EVALRATCHET_STREAM
    deploy/kafka/local_kafka.py kill 2             SIGKILL one node; `start` brings it back
    deploy/kafka/local_kafka.py status
    deploy/kafka/local_kafka.py stop               keeps the data; --wipe forgets it
    deploy/kafka/local_kafka.py fetch              only the jars

Everything is under one folder (`.kafka`): the jars, each node's data and log, and `cluster.json`,
which remembers the ports. Meant for development and tests: the nodes listen on loopback only.
"""

import argparse
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
DEFAULT_FOLDER = Path(".kafka")
START_SECONDS = 60.0  # a node is ready in about 2 s; a machine that compiles beside it needs more
STOP_SECONDS = 15.0
_JAVA = ("-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_STARTED = "Kafka Server started"


class LocalKafkaError(RuntimeError):
    """The cluster cannot do what was asked; the message says why and what to do."""


@dataclass
class Node:
    """One node: its number, its loopback ports, and its process when it was last started."""

    number: int
    client_port: int
    broker_port: int
    controller_port: int
    pid: int | None = None


class Cluster:
    """A cluster in a folder. Every method reads and writes `cluster.json`, so any process may call."""

    def __init__(self, folder: Path, libs: Path | None = None) -> None:
        """Look at a folder; nothing is started. `libs` defaults to `libs` in it."""
        self.folder = folder.resolve()
        self._libs = (libs or self.folder / "libs").resolve()
        self._file = self.folder / "cluster.json"
        self._id = ""
        self.nodes: list[Node] = []
        if self._file.is_file():
            state = json.loads(self._file.read_text())
            self._id = state["id"]
            self.nodes = [Node(**node) for node in state["nodes"]]

    @property
    def url(self) -> str:
        """The address as EVALRATCHET_STREAM takes it."""
        return "kafka://" + ",".join(f"127.0.0.1:{node.client_port}" for node in self.nodes)

    def start(self, nodes: int = 1, port: int = 9092) -> None:
        """Start every node that does not run and wait until it serves. Port 0 picks free ports."""
        if self.nodes and len(self.nodes) != nodes:
            message = (
                f"{self.folder} holds a cluster of {len(self.nodes)} node(s), not {nodes}: "
                "start it with that many, or `stop --wipe` it first."
            )
            raise LocalKafkaError(message)
        self.folder.mkdir(parents=True, exist_ok=True)
        fetch_jars(self._libs)
        if not self.nodes:
            self._id = _cluster_id()
            self.nodes = _plan(nodes, port)
            self._save()
        down = [node for node in self.nodes if not self.running(node)]
        for node in down:
            self._launch(node)
        deadline = time.monotonic() + START_SECONDS
        for node in down:
            self._await_ready(node, deadline)

    def running(self, node: Node) -> bool:
        """Whether the node's process is alive and really is that node, not a later one of that id."""
        if node.pid is None:
            return False
        asked = subprocess.run(
            ["ps", "-ww", "-o", "stat=,args=", "-p", str(node.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return str(self._properties(node)) in asked.stdout and not asked.stdout.startswith("Z")

    def signal(self, number: int, signum: int) -> None:
        """Send a signal to one node and, unless it is one to pause or go on, wait for its end."""
        node = next((node for node in self.nodes if node.number == number), None)
        if node is None:
            message = f"there is no node {number} in {self.folder}: it has {len(self.nodes)}"
            raise LocalKafkaError(message)
        if self.running(node) and node.pid is not None:
            os.kill(node.pid, signum)
            if signum in {signal.SIGKILL, signal.SIGTERM}:
                self._await_end(node)

    def kill(self, number: int) -> None:
        """SIGKILL one node: what a crash does."""
        self.signal(number, signal.SIGKILL)

    def stop(self, *, wipe: bool = False, gently: bool = True) -> None:
        """Stop every node; with `wipe` forget the data and the ports, but keep the jars."""
        running = [node for node in self.nodes if self.running(node)]
        for node in running:
            if node.pid is not None:
                os.kill(node.pid, signal.SIGTERM if gently else signal.SIGKILL)
        for node in running:
            self._await_end(node)
        if wipe:
            for node in self.nodes:
                shutil.rmtree(self._home(node), ignore_errors=True)
            self._file.unlink(missing_ok=True)
            self.nodes = []

    def _home(self, node: Node) -> Path:
        return self.folder / f"node-{node.number}"

    def _properties(self, node: Node) -> Path:
        return self._home(node) / "server.properties"

    def _launch(self, node: Node) -> None:
        home, properties = self._home(node), self._properties(node)
        home.mkdir(exist_ok=True)
        properties.write_text(_server_properties(node, self.nodes, home / "data"))
        if not (home / "data" / "meta.properties").exists():  # a JVM for nothing, else
            self._format(node)
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [*self._java(), "kafka.Kafka", str(properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        node.pid = process.pid
        process.returncode = (
            0  # it outlives this script: Popen must not complain that it still runs
        )
        self._save()

    def _format(self, node: Node) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted"]
        command = [*self._java(), *tool, "-t", self._id, "-c", str(self._properties(node))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"node {node.number} could not be formatted: {done.stdout}{done.stderr}"
            raise LocalKafkaError(message)

    def _java(self) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        return ["java", *_JAVA, logging, "-cp", f"{self._libs}/*"]

    def _await_ready(self, node: Node, deadline: float) -> None:
        log = self._home(node) / "log"
        while _STARTED not in (text := log.read_text(errors="replace")):
            if not self.running(node) or time.monotonic() > deadline:
                message = f"node {node.number} did not start; the end of {log}:\n{text[-3000:]}"
                raise LocalKafkaError(message)
            time.sleep(0.05)

    def _await_end(self, node: Node) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while self.running(node):
            if time.monotonic() > deadline and node.pid is not None:
                os.kill(node.pid, signal.SIGKILL)
            time.sleep(0.02)
        if node.pid is not None:
            _reap(node.pid)
        node.pid = None
        self._save()

    def _save(self) -> None:
        state = {"id": self._id, "nodes": [asdict(node) for node in self.nodes]}
        fresh = self._file.with_suffix(".tmp")
        fresh.write_text(json.dumps(state, indent=1))
        fresh.replace(self._file)


def fetch_jars(libs: Path) -> None:
    """Copy the jars of pom.xml to a folder, through Maven, unless they are there already.

    Raises:
        LocalKafkaError: Java or Maven is missing, or Maven failed.
    """
    pom = HERE / "pom.xml"
    done = libs / "pom.xml"  # written last: a folder without it was left half full
    if done.is_file() and done.read_bytes() == pom.read_bytes():
        return
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            message = f"`{tool}` is not on the path: local Kafka needs Java 17 or later, and Maven."
            raise LocalKafkaError(message)
    print(f"fetching Kafka's jars into {libs} (once)", file=sys.stderr)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={libs}"]
    maven = subprocess.run(
        ["mvn", "-q", "-B", "-f", str(pom), *goal], capture_output=True, text=True, check=False
    )
    if maven.returncode:
        message = f"Maven could not fetch the jars:\n{maven.stdout[-3000:]}{maven.stderr[-1000:]}"
        raise LocalKafkaError(message)
    shutil.copyfile(pom, done)


def _cluster_id() -> str:
    """Sixteen random bytes in the alphabet of URLs, as Kafka draws them.

    Never with a dash in front, which its command line takes for an option.
    """
    drawn = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return _cluster_id() if drawn.startswith("-") else drawn


def _plan(nodes: int, port: int) -> list[Node]:
    if port:
        return [
            Node(n, port + n - 1, port + 10_000 + n - 1, port + 20_000 + n - 1)
            for n in range(1, nodes + 1)
        ]
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3 * nodes)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return [Node(n + 1, *ports[3 * n : 3 * n + 3]) for n in range(nodes)]


def _server_properties(node: Node, nodes: list[Node], data: Path) -> str:
    replication = min(3, len(nodes))
    return Template((HERE / "server.properties").read_text()).substitute(
        asdict(node),
        voters=",".join(f"{n.number}@127.0.0.1:{n.controller_port}" for n in nodes),
        replication=replication,
        in_sync=max(1, replication - 1),
        data=data,
    )


def _reap(pid: int) -> None:
    """Collect a child's exit status, where it is this process's child."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def main() -> None:
    """The command line."""
    chosen = _parse()
    cluster = Cluster(chosen.dir)
    try:
        if chosen.command == "start":
            cluster.start(chosen.nodes, chosen.port)
            print(f"EVALRATCHET_STREAM={cluster.url}")
        elif chosen.command == "stop":
            cluster.stop(wipe=chosen.wipe)
        elif chosen.command == "kill":
            cluster.kill(chosen.node)
        elif chosen.command == "fetch":
            fetch_jars(chosen.dir.resolve() / "libs")
        else:
            for node in cluster.nodes:
                state = "running" if cluster.running(node) else "down"
                print(f"node {node.number}  127.0.0.1:{node.client_port}  {state}")
    except LocalKafkaError as error:
        sys.exit(str(error))


def _parse() -> argparse.Namespace:
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--dir", type=Path, default=DEFAULT_FOLDER, help="default: .kafka")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", parents=[where], help="start what does not run")
    start.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    start.add_argument("--port", type=int, default=9092, help="of the first node; 0: free ones")
    stop = commands.add_parser("stop", parents=[where], help="stop every node")
    stop.add_argument("--wipe", action="store_true", help="also forget the data")
    kill = commands.add_parser("kill", parents=[where], help="SIGKILL one node")
    kill.add_argument("node", type=int)
    commands.add_parser("status", parents=[where], help="which nodes run")
    commands.add_parser("fetch", parents=[where], help="fetch the jars and start nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
