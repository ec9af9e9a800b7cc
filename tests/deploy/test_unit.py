"""The unit under a real systemd; where none can be had the tests say why, and what it sets is tried without one."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import registry_mesh
from tests.clients.images import ROOT
from tests.clients.machine import Machine, NoMachineError, machine
from tests.eventually import eventually_here
from tests.simulators.ports import free_port

pytestmark = pytest.mark.slow

UNIT = "registry-mesh@site.service"
PROGRAM = "/opt/registry-mesh/bin/registry-mesh"
LOGIN = f"/run/credentials/{UNIT}/hub.json"
SITE = f"""role: site
name: tested
workers: 1
store: {{disk: {{path: /var/lib/registry-mesh/site}}}}
log: {{access: /var/log/registry-mesh/site.log}}
registries:
  registry.example:
    default: true
    readers: [everybody]
    credentials: "file:{LOGIN}"
    parents: [["http://127.0.0.1:9"]]
"""


@pytest.fixture(scope="module")
def booted(clients: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    try:
        with machine(tmp_path_factory.mktemp("machine")) as made:
            drop_in = made.root / f"etc/systemd/system/{UNIT}.d/login.conf"
            drop_in.parent.mkdir()
            drop_in.write_text("[Service]\nLoadCredential=hub.json:/etc/registry-mesh/hub.json\n")
            secret = made.root / "etc/registry-mesh/hub.json"
            secret.write_text("robot:secret")
            secret.chmod(0o600)
            assert made.run("systemctl", "daemon-reload").returncode == 0
            yield made
    except NoMachineError as why:
        pytest.skip(str(why))


@pytest.fixture
def config(booted: Machine) -> Path:
    path = booted.root / "etc/registry-mesh/site.yaml"
    path.write_text(SITE)
    return path


@pytest.fixture
def served(booted: Machine, config: Path) -> Machine:
    """It runs, with the configuration that is good."""
    started = booted.run("systemctl", "start", UNIT)
    assert started.returncode == 0, booted.run("systemctl", "status", "--no-pager", UNIT).stdout
    return booted


def status(made: Machine) -> dict[str, Any]:
    told = made.run(PROGRAM, "status", "--json", "/etc/registry-mesh/site.yaml")
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_it_runs_as_its_user_with_its_folders_and_no_more(served: Machine) -> None:
    main = served.shown(UNIT, "MainPID")
    told = (served.root / f"proc/{main}/status").read_text()
    kept = dict(re.findall(r"^(\w+):\s+(.*)$", told, re.MULTILINE))
    user = served.run("id", "-u", "registry-mesh").stdout.strip()
    assert set(kept["Uid"].split()) == {user}
    assert (int(kept["CapEff"], 16), kept["NoNewPrivs"], kept["Seccomp"]) == (0, "1", "2")
    for folder, mode in (("var/lib/registry-mesh/site", 0o750), ("var/log/registry-mesh", 0o750)):
        found = (served.root / folder).stat()
        assert (found.st_uid, found.st_mode & 0o777) == (int(user), mode)
    assert (served.root / "var/log/registry-mesh/site.log").exists()
    assert served.shown(UNIT, "StatusText").startswith("serving")
    assert served.shown(UNIT, "WatchdogUSec") == "1min"
    limits = (served.root / f"proc/{main}/limits").read_text()
    assert re.search(r"^Max open files +\d{5,}", limits, re.MULTILINE), (
        "its own, or the most that the machine has"
    )


def test_a_login_that_root_alone_may_read_is_there_for_the_start_and_for_a_reload(served: Machine) -> None:
    """systemd hides credentials from what it runs for a reload (systemd 252)."""
    main, before = served.shown(UNIT, "MainPID"), status(served)["generation"]
    reloaded = served.run("systemctl", "reload", UNIT)
    assert reloaded.returncode == 0, served.run("systemctl", "status", "--no-pager", UNIT).stdout
    eventually_here(lambda: status(served)["generation"] == before + 1, "the new processes to serve")
    assert served.shown(UNIT, "MainPID") == main


def test_a_reload_of_a_wrong_file_is_refused_and_said(served: Machine, config: Path) -> None:
    main, before = served.shown(UNIT, "MainPID"), status(served)["generation"]
    config.write_text(SITE.replace("/var/log/registry-mesh", "/var/cache/elsewhere"))
    assert served.run("systemctl", "reload", UNIT).returncode == 1
    assert (
        "/etc/registry-mesh/site.yaml:5:"
        in served.run("systemctl", "status", "--no-pager", "-l", UNIT).stdout
    )
    config.write_text(SITE)
    assert (served.shown(UNIT, "MainPID"), status(served)["generation"]) == (main, before)
    assert served.shown(UNIT, "ActiveState") == "active"


def test_a_new_version_takes_over_by_reload(served: Machine) -> None:
    main = served.shown(UNIT, "MainPID")
    (package,) = (served.root / "opt/registry-mesh/lib").glob(
        "python3*/site-packages/registry_mesh/__init__.py"
    )
    package.write_text(package.read_text().replace(registry_mesh.__version__, "9.9.9"))
    assert served.run("systemctl", "reload", UNIT).returncode == 0
    eventually_here(lambda: status(served)["version"] == "9.9.9", "the new version to serve", 60)
    assert served.shown(UNIT, "MainPID") == main


def test_a_port_below_1024_by_the_drop_in_that_the_unit_names(booted: Machine, config: Path) -> None:
    words = (
        "PrivateUsers=no",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
    )
    assert all(
        word.partition("=")[0] in (ROOT / "deploy/systemd/registry-mesh@.service").read_text()
        for word in words
    )
    config.write_text(SITE + "listen: {address: 127.0.0.1, port: 443}\n")
    drop_in = booted.root / f"etc/systemd/system/{UNIT}.d/port.conf"
    drop_in.write_text("\n".join(["[Service]", *words, ""]))
    try:
        assert booted.run("systemctl", "daemon-reload").returncode == 0
        assert booted.run("systemctl", "restart", UNIT).returncode == 0, booted.run(
            "systemctl", "status", UNIT
        ).stdout
        assert (
            booted.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "127.0.0.1:443/v2/").stdout
            == "200"
        )
    finally:
        drop_in.unlink()
        booted.run("systemctl", "daemon-reload")
        booted.run("systemctl", "stop", UNIT)


def test_the_page_s_check_before_the_first_start_finds_nothing(booted: Machine, config: Path) -> None:
    """The unit makes its folders when it starts; the page checks the configuration before."""
    booted.run("systemctl", "stop", UNIT)
    booted.run("rm", "-rf", "/var/lib/registry-mesh", "/var/log/registry-mesh")
    install, _ = (ROOT / "docs/operating.md").read_text().split("registry-mesh check-config --online", 1)
    for line in re.findall(r"^    (install -d -m .*)$", install, re.MULTILINE):
        assert booted.run(*line.split()).returncode == 0, line
    config.write_text(re.sub("    credentials: .*\n", "", SITE))
    checked = booted.run(PROGRAM, "check-config", "/etc/registry-mesh/site.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_main_process_that_is_killed_is_started_again(served: Machine) -> None:
    main = served.shown(UNIT, "MainPID")
    assert served.run("kill", "-KILL", main).returncode == 0
    eventually_here(
        lambda: served.shown(UNIT, "MainPID") not in ("0", main) and served.shown(UNIT, "SubState") == "running",
        lambda: served.run("systemctl", "status", "--no-pager", UNIT).stdout,
    )  # fmt: skip


def test_a_wrong_file_is_not_tried_for_ever(served: Machine, config: Path) -> None:
    config.write_text("colour: blue\n" + SITE)
    assert served.run("systemctl", "restart", UNIT).returncode == 1
    assert served.shown(UNIT, "ActiveState") == "failed", "and not activating, which is to be tried again"
    assert served.shown(UNIT, "ExecMainStatus") == "78"
    assert "site.yaml:1:1: colour" in served.run("systemctl", "status", "--no-pager", "-l", UNIT).stdout


def test_a_port_that_is_taken_is_tried_again(booted: Machine, config: Path) -> None:
    booted.run("systemctl", "stop", UNIT)
    taken = ("systemd-run", "--unit=taken", "python3", "-m", "http.server", "--bind=127.0.0.1", "5000")
    assert booted.run(*taken).returncode == 0
    try:
        eventually_here(
            lambda: booted.run("curl", "-sf", "127.0.0.1:5000").returncode == 0, "the other server"
        )
        assert booted.run("systemctl", "start", UNIT).returncode == 1
        # Between two tries: the next, which has no exit code yet, begins after a second.
        eventually_here(lambda: booted.shown(UNIT, "ExecMainStatus") == "1", "a try in vain", pause=0.1)
        assert booted.shown(UNIT, "ActiveState") == "activating"
    finally:
        assert booted.run("systemctl", "stop", "taken").returncode == 0
    eventually_here(lambda: booted.shown(UNIT, "ActiveState") == "active", "its next try")


def test_it_ends_as_told(served: Machine) -> None:
    assert served.run("systemctl", "stop", UNIT).returncode == 0
    assert (served.shown(UNIT, "ActiveState"), served.shown(UNIT, "Result")) == ("inactive", "success")
    assert served.shown(UNIT, "ExecMainStatus") == "0"


CLIENTS = """
import collections, http.client, json, pathlib, sys, threading, time
said, told, running = collections.Counter(), threading.Lock(), pathlib.Path(sys.argv[1])
answers = running.with_name("answers").open("wb", buffering=0)
def pull():
    while running.exists():
        node, began, asked = http.client.HTTPConnection("127.0.0.1", 5000, timeout=80), time.monotonic(), None
        try:
            node.request("GET", "/v2/")
            asked = time.monotonic()
            said_now = str(node.getresponse().status)
            node.close()
        except OSError as fault:
            said_now = type(fault).__name__
            if (asked or time.monotonic()) - began > 0.5:
                continue  # a node that ends waits a second for what is asked: it was this client that stood still
        with told:
            said[said_now] += 1
            answers.write(b".")
        time.sleep(0.02)
threads = [threading.Thread(target=pull) for _ in range(8)]
[each.start() for each in threads]
[each.join() for each in threads]
print(json.dumps(said))
"""
SOCKET = "registry-mesh@site.socket"
ANYWHERE = "listen: {address: 0.0.0.0, port: 5000}\naccess: {anonymous: pull}\n"


@contextmanager
def held(booted: Machine) -> Iterator[None]:
    """systemd holds the socket for the node."""
    booted.run("systemctl", "stop", UNIT)
    assert booted.run("systemctl", "start", SOCKET).returncode == 0
    try:
        yield
    finally:
        booted.run("systemctl", "stop", SOCKET, UNIT)
        booted.run("systemctl", "reset-failed", SOCKET, UNIT)


@contextmanager
def pulling(booted: Machine) -> Iterator[Counter[str]]:
    """Eight clients that connect again and again: at the end, how often what became of that."""
    running = booted.root / "run/pulling"
    running.with_name("answers").write_bytes(b"")
    running.touch()
    said: Counter[str] = Counter()
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(booted.run, "/usr/bin/python3", "-c", CLIENTS, "/run/pulling")
        try:
            yield said
        finally:
            running.unlink()
        said.update(json.loads(told.result().stdout))


def test_a_restart_refuses_no_connection_where_systemd_holds_it(booted: Machine, config: Path) -> None:
    config.write_text(SITE + ANYWHERE)
    with held(booted):
        with pulling(booted) as said:
            main = new_main(booted, "0")
            for _ in range(2):
                all_are_answered(booted)
                assert booted.run("systemctl", "restart", UNIT).returncode == 0
                main = new_main(booted, main)
            all_are_answered(booted)
        assert set(said) == {"200"}, said
        with pulling(booted) as said:
            assert booted.run("kill", "-KILL", main).returncode == 0
            new_main(booted, main)
        assert set(said) <= {"200", "ConnectionResetError", "RemoteDisconnected"}, (
            "what it was at, and no more"
        )


def all_are_answered(booted: Machine) -> None:
    """More answers come than those that the clients waited for."""
    answers = booted.root / "run/answers"
    before = answers.stat().st_size
    eventually_here(lambda: answers.stat().st_size > before + 8, "more answers", pause=0.05)


def new_main(booted: Machine, before: str) -> str:
    """The unit's main process once it serves, and is another."""
    found = ""

    def serves() -> bool:
        nonlocal found
        found = booted.shown(UNIT, "MainPID")
        return found not in ("0", before) and booted.shown(UNIT, "SubState") == "running"

    eventually_here(serves, lambda: booted.run("systemctl", "status", "--no-pager", UNIT).stdout)
    return found


def test_clients_of_a_node_that_cannot_start_are_refused_in_the_end(booted: Machine, config: Path) -> None:
    """As the shipped socket has it, but sooner."""
    assert "TriggerLimitBurst=10\n" in (ROOT / "deploy/systemd/registry-mesh@.socket").read_text()
    drop_in = booted.root / f"etc/systemd/system/{SOCKET}.d/sooner.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Socket]\nTriggerLimitBurst=3\n")
    booted.run("systemctl", "daemon-reload")
    config.write_text("colour: blue\n" + SITE + ANYWHERE)
    with held(booted):
        asked = booted.run("curl", "-s", "-m", "80", "127.0.0.1:5000/v2/")
        assert asked.returncode != 28, "it did not wait for ever"
        eventually_here(lambda: booted.shown(SOCKET, "ActiveState") == "failed", "systemd to give it up")
        assert booted.run("curl", "-s", "127.0.0.1:5000/v2/").returncode == 7, "refused"


BARE = """
set -e
mount --make-rprivate /
for kept in "$1/state" "$1/log"; do mount --bind "$kept" "$kept"; done
for fixed in / "$(findmnt -n -o TARGET --target "$1/site.yaml")"; do mount -o remount,bind,ro "$fixed"; done
cd "$1/state" && shift
exec setpriv --reuid=64123 --regid=64123 --clear-groups --no-new-privs --bounding-set=-all "$@"
"""
"""The unit's user, mounts and environment, in the order in which systemd gives them."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become the unit's user")
def test_what_the_unit_sets_is_enough_without_systemd_too(open_folder: Path) -> None:
    for name in ("state", "log", "credentials"):
        (open_folder / name).mkdir()
        os.chown(open_folder / name, 64123, 64123)
    login, config = open_folder / "credentials/hub.json", open_folder / "site.yaml"
    login.write_text("robot:secret")
    login.chmod(0o400)
    os.chown(login, 64123, 64123)
    port, admin = free_port(), free_port()
    good = SITE.replace(LOGIN, str(login)).replace("/var/lib/registry-mesh/site", ".")
    good = good.replace("/var/log/registry-mesh", f"{open_folder}/log")
    good += f"listen: {{address: 127.0.0.1, port: {port}}}\nadmin: {{address: 127.0.0.1, port: {admin}}}\n"
    config.write_text(good)
    config.chmod(0o644)
    words = ("unshare", "--mount", "sh", "-c", BARE, "sh", str(open_folder))
    serve = (*words, sys.executable, "-m", "registry_mesh", "serve", str(config))
    path = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": str(open_folder / "notify")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path["NOTIFY_SOCKET"])
        Path(path["NOTIFY_SOCKET"]).chmod(0o666)
        manager.settimeout(60)
        process = subprocess.Popen(serve, env=path, stdin=subprocess.DEVNULL)
        try:
            assert "READY=1" in manager.recv(4096).decode()
            assert Path(f"/proc/{process.pid}").stat().st_uid == 64123
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()
    config.write_text("colour: blue\n" + good)
    assert subprocess.run(serve, env=path, timeout=60, check=False, capture_output=True).returncode == 78
