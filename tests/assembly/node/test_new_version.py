"""A new version of the program takes over by reload: real processes of a copy of the package, which is changed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest
import yaml

import registry_mesh
from registry_mesh.assembly.supervision.handover import VARIABLE, Handover, started_as
from tests.clients import nodes
from tests.clients.wire import refuses, serves
from tests.eventually import eventually_here
from tests.simulators.ports import free_port

DATA = random.Random(7).randbytes(8 << 20)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@dataclass
class Installed:
    """An origin that is served by a program which can be replaced."""

    package: Path
    node: nodes.Node
    failed: list[str] = field(default_factory=list)
    answered: int = 0

    def install(self, version: str, end: str = "") -> None:
        """Write another version of the program; `end`: what its code ends with."""
        text = (Path(registry_mesh.__file__)).read_text()
        init = self.package / "__init__.py"
        init.write_text(text.replace(f'"{registry_mesh.__version__}"', f'"{version}"') + end)

    def move(self, port: int) -> None:
        """Have the configuration say that clients are listened for at `port`."""
        config = yaml.safe_load(self.node.config.read_text())
        config["listen"]["port"] = port
        self.node.config.write_text(yaml.safe_dump(config))

    def reload(self) -> None:
        process = self.node.process
        assert process is not None
        process.send_signal(signal.SIGHUP)

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.node.admin + "/status", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def keeper(self) -> int:
        """Its process, once both workers serve; 0 before."""
        serving = {each["pid"] for each in self.status()["workers"] if each["state"] == "serving"}
        others = self.node.children() - serving
        return others.pop() if (len(serving), len(others)) == (2, 1) else 0

    def has_taken_over(self, version: str, keeper: int) -> bool:
        """Alone: for a moment the keeper of the one before answers too."""
        try:
            return keeper not in self.node.children() and self.status()["version"] == version
        except OSError:
            return False

    @contextmanager
    def pulled_meanwhile(self) -> Iterator[None]:
        """Small pulls, each on a connection of its own, and one that lasts as long as this."""
        ended = threading.Event()

        def pull() -> None:
            while not ended.wait(0.01):
                try:
                    with urllib.request.urlopen(f"{self.node.url}/v2/", timeout=60) as answer:
                        answer.read()
                    self.answered += 1
                except OSError as fault:
                    self.failed.append(repr(fault))

        puller = threading.Thread(target=pull)
        with urllib.request.urlopen(f"{self.node.url}/v2/team/app/blobs/{DIGEST}", timeout=60) as answer:
            begin = answer.read(1 << 16)
            puller.start()
            try:
                yield
            finally:
                ended.set()
                puller.join()
            assert begin + answer.read() == DATA


def copy_compiled(package: Path, to: Path) -> None:
    """Copy a package with its compiled modules, wherever these are kept: each process would compile them again. Those
    of sources that change later are not believed any more."""
    shutil.copytree(package, to, ignore=shutil.ignore_patterns("__pycache__"))
    for source in package.rglob("*.py"):
        compiled = Path(cache_from_source(str(source)))
        beside = Path(cache_from_source(str(to / source.relative_to(package))))
        if compiled.exists():
            beside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(compiled, beside)


@contextmanager
def removed(folder: Path) -> Iterator[None]:
    """Remove `folder` in the end: it may be one that outlives the tests."""
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    app = tmp_path / "app"
    copy_compiled(Path(registry_mesh.__file__).parent, app / "registry_mesh")
    node = nodes.origin(tmp_path / "origin", workers=2)
    node.within = ("env", "-C", str(app), "PYTHONDONTWRITEBYTECODE=1", f"PYTHONPATH={app}")
    made = Installed(app / "registry_mesh", node)
    with removed(Path(cache_from_source(str(app / "any.py"))).parent), node:
        push = f"{node.url}/v2/team/app/blobs/uploads/?digest={DIGEST}"
        with urllib.request.urlopen(
            urllib.request.Request(push, data=DATA, method="POST"), timeout=60
        ) as answer:
            assert answer.status == 201
        yield made


def pids(status: dict[str, Any]) -> set[int]:
    return {each["pid"] for each in status["workers"] if each["pid"]}


@pytest.mark.slow
def test_a_new_version_takes_over_while_pulls_run_and_a_broken_one_does_not(installed: Installed) -> None:
    eventually_here(installed.keeper, "all to serve")
    before, keeper = installed.status(), installed.keeper()
    process = installed.node.process
    assert isinstance(process, subprocess.Popen)
    with installed.pulled_meanwhile():
        installed.install("99.0.0", "raise RuntimeError('half installed')\n")
        installed.reload()
        eventually_here(lambda: "the old one holds" in installed.node.log.read_text(), "it is refused", 120)
        assert (
            "99.0.0: the new version cannot start: RuntimeError: half installed"
            in installed.node.log.read_text()
        )
        assert (installed.status()["version"], pids(installed.status())) == (
            registry_mesh.__version__,
            pids(before),
        )

        installed.install("99.0.1")
        installed.reload()
        eventually_here(lambda: "a new version took over" in installed.node.log.read_text(), "it serves", 120)
        eventually_here(lambda: installed.has_taken_over("99.0.1", keeper), installed.node.tail, 120)
        after = installed.status()
        assert after["generation"] == before["generation"] + 1
        assert {each["generation"] for each in after["workers"]} == {after["generation"]}
        assert not pids(after) & pids(before)
        assert process.poll() is None, "it is the same process, as the service manager sees it"
    assert not installed.failed
    assert installed.answered > 10
    installed.reload()  # from now on it is as any other
    eventually_here(lambda: installed.status()["generation"] == after["generation"] + 1, "another", 120)
    assert installed.node.stop() == 0


TAKEN_SINCE_THE_TRIAL = """
import socket, sys
if "--trial" not in sys.orig_argv:
    taken = socket.create_server(("127.0.0.1", {port}))
"""
"""At the end of a version's code: what happens between its trial and its start."""


@pytest.mark.slow
def test_a_new_version_moves_to_another_address_unless_it_is_taken(installed: Installed) -> None:
    node = installed.node
    eventually_here(installed.keeper, "all to serve")
    keeper = installed.keeper()
    with socket.create_server(("127.0.0.1", 0)) as other:
        installed.move(port := other.getsockname()[1])
        installed.install("99.0.0")
        installed.reload()
        eventually_here(lambda: "the old one holds" in node.log.read_text(), "it is refused", 120)
        assert (
            f"99.0.0: the new version cannot start: error: cannot listen on 127.0.0.1:{port}"
            in node.log.read_text()
        )
        assert installed.status()["version"] == registry_mesh.__version__
        eventually_here(lambda: serves(f"{node.url}/v2/"), "it to serve on")
    installed.move(port := free_port())
    installed.install("99.0.0", TAKEN_SINCE_THE_TRIAL.format(port=port))
    installed.reload()
    eventually_here(lambda: installed.has_taken_over("99.0.0", keeper), node.tail, 120)
    eventually_here(lambda: serves(f"{node.url}/v2/"), "it to serve where the one before did")
    taken = f"Address already in use; `ss -tanp sport = :{port}` names the program"
    assert f"cannot listen on 127.0.0.1:{port}: {taken}: the node stays" in node.log.read_text()
    installed.move(port := free_port())
    installed.reload()
    eventually_here(lambda: installed.status()["generation"] == 3, node.tail, 120)
    eventually_here(lambda: serves(f"http://127.0.0.1:{port}/v2/"), "workers at the other address")
    eventually_here(lambda: refuses(node.port), "nobody listens where the version before did")
    assert node.stop() == 0


def test_a_file_that_is_spoiled_during_the_handover_is_waited_for(tmp_path: Path) -> None:
    """To exit would end the children of the version before, which serve."""
    file = tmp_path / "node.yaml"
    file.write_text("colour: blue\n")
    code = (
        "import signal; from pathlib import Path; from registry_mesh.cli.serve import _loaded\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        f"print(_loaded(Path({str(file)!r})).config.role)"
    )
    command = [sys.executable, "-c", code]
    alone = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (alone.returncode, alone.stdout) == (78, "")
    with subprocess.Popen(
        command, env={**os.environ, VARIABLE: "9"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stderr is not None
        assert "node.yaml:1:1" in waiting.stderr.readline()
        file.write_text(f"role: origin\nstore: {{disk: {{path: {tmp_path}}}}}\n")
        assert waiting.communicate(timeout=60)[0] == "origin\n"
    assert waiting.returncode == 0


def test_what_is_handed_over_arrives_and_nothing_of_it_stays() -> None:
    code = (
        "from registry_mesh.assembly.supervision.handover import Handover; taken = Handover.taken(); print(taken)\n"
        "print(taken.secret, [each.get_inheritable() for each in taken.sockets()[0]], Handover.taken())"
    )
    before = set(os.listdir("/proc/self/fd"))
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        given = Handover(
            3, ("0.0.0.0", 5000), ("127.0.0.1", 5001), [one.fileno()], other.fileno(), [17], [18], "a2V5"
        )
        with given.given() as descriptors:
            taken = subprocess.run(
                [sys.executable, "-c", code],
                pass_fds=descriptors,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        assert taken.stdout.splitlines() == [str(given), "b'key' [False] None"]
        assert not one.get_inheritable(), "for other programs that are run where this one stays"
    assert VARIABLE not in os.environ
    assert set(os.listdir("/proc/self/fd")) <= before, "what tests before left behind may go meanwhile"


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (["/opt/bin/python3", "/opt/bin/registry-mesh", "serve", "a.yaml"], True),
        (["python", "-m", "registry_mesh", "serve", "a.yaml"], True),
        (["python", "-c", "from multiprocessing.forkserver import main"], False),
    ],
)
def test_how_it_was_started(words: list[str], known: bool) -> None:
    assert (started_as(words) is not None) == known
