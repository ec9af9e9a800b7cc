"""`serve` as people run it: real processes, real signals, a real pull in the middle of it."""

import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import random
import re
import resource
import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from registry_mesh.oci.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.clients import nodes, programs
from tests.clients.wire import answers, refuses
from tests.eventually import eventually_here
from tests.simulators.bucket import Bucket
from tests.simulators.ports import free_port
from tests.simulators.whole import whole_lines

DATA = random.Random(5).randbytes(24 << 20)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[nodes.Node]:
    with nodes.origin(tmp_path / "origin", workers=2, drain="10m") as node:
        request = urllib.request.Request(
            f"{node.url}/v2/team/app/blobs/uploads/?digest={DIGEST}", data=DATA, method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert answer.status == 201
        yield node


def get(node: nodes.Node, path: str) -> bytes:
    with urllib.request.urlopen(node.admin + path, timeout=60) as answer:
        data: bytes = answer.read()
        return data


def pulled(node: nodes.Node, path: str) -> bytes:
    with urllib.request.urlopen(node.url + path, timeout=60) as answer:
        data: bytes = answer.read()
        return data


def put(node: nodes.Node, path: str, data: bytes, media_type: str) -> None:
    headers = {"Content-Type": media_type}
    request = urllib.request.Request(node.url + path, data=data, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201


def workers(node: nodes.Node) -> set[int]:
    status: dict[str, Any] = json.loads(get(node, "/status"))
    return {each["pid"] for each in status["workers"] if each["state"] == "serving"}


def supervisor(node: nodes.Node) -> programs.Program | subprocess.Popen[bytes]:
    assert node.process is not None
    return node.process


class SlowPull:
    """A client that has taken a little of the blob, and will take the rest when told."""

    def __init__(self, node: nodes.Node) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._socket.settimeout(60)
        self._socket.connect(("127.0.0.1", node.port))
        self._socket.sendall(f"GET /v2/team/app/blobs/{DIGEST} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self._answer = self._socket.recv(4096)
        assert self._answer.startswith(b"HTTP/1.1 200")

    def finish(self) -> str:
        """The digest of all that came."""
        while b"\r\n\r\n" not in self._answer:
            self._answer += self._socket.recv(4096)
        body = self._answer.partition(b"\r\n\r\n")[2]
        found, size = hashlib.sha256(body), len(body)
        while size < len(DATA) and (data := self._socket.recv(1 << 20)):
            found.update(data)
            size += len(data)
        self._socket.close()
        return f"sha256:{found.hexdigest()}"


def test_term_lets_a_running_pull_finish_and_takes_no_other(origin: nodes.Node) -> None:
    pull = SlowPull(origin)
    supervisor(origin).terminate()
    eventually_here(lambda: refuses(origin.port), "it accepts nothing more")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        get(origin, "/readyz")
    assert pull.finish() == DIGEST
    assert supervisor(origin).wait(60) == 0


def test_a_second_term_cuts_it(origin: nodes.Node) -> None:
    pull = SlowPull(origin)
    supervisor(origin).terminate()
    eventually_here(lambda: '"stopping"' in origin.log.read_text(), "the first is heard")
    supervisor(origin).terminate()
    assert supervisor(origin).wait(60) == 0
    with contextlib.suppress(ConnectionResetError):
        assert pull.finish() != DIGEST


def test_a_killed_worker_comes_back_and_the_other_is_unharmed(origin: nodes.Node) -> None:
    eventually_here(lambda: len(workers(origin)) == 2, "both serve")
    pull = SlowPull(origin)
    idle: set[int] = set()

    def one_is_idle() -> bool:
        idle.clear()
        idle.update(pid for pid in workers(origin) if not holds_connection(pid, origin.port))
        return len(idle) == 1

    eventually_here(one_is_idle, "the kernel to name the one that sends")
    (victim,) = idle
    os.kill(victim, signal.SIGKILL)
    eventually_here(lambda: len(workers(origin) - {victim}) == 2, "another serves")
    assert pull.finish() == DIGEST
    eventually_here(
        lambda: b"registry_mesh_worker_restarts_total 1.0" in get(origin, "/metrics"), "it to count"
    )


def holds_connection(pid: int, port: int) -> bool:
    """Whether the process has an established connection on the port."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "01":
            inodes.add(f"socket:[{fields[9]}]")
    return any(leads_to(link) in inodes for link in Path(f"/proc/{pid}/fd").iterdir())


def leads_to(link: Path) -> str:
    """Nowhere where it is gone: other files of the process come and go."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def reread(node: nodes.Node) -> list[dict[str, Any]]:
    """What the log says of configurations that were taken; certificates are also read again by themselves."""
    return [json.loads(line) for line in whole_lines(node.log) if '"took_effect"' in line]


def test_hup_takes_over_whatever_changed_and_a_bad_file_changes_nothing(origin: nodes.Node) -> None:
    path = f"{origin.url}/v2/team/app/blobs/{DIGEST}"
    eventually_here(lambda: len(workers(origin)) == 2, "both to serve")
    pull = SlowPull(origin)
    old = workers(origin)
    (keeper,) = origin.children() - old
    config = {"role": "origin", "access": {"anonymous": "nothing"}, "workers": 3, "registry": nodes.REGISTRY}
    origin.change(config)
    supervisor(origin).send_signal(signal.SIGHUP)
    eventually_here(lambda: bool(reread(origin)), "it is taken")
    assert reread(origin)[0]["took_effect"] == ["access", "drain", "workers"]
    assert reread(origin)[0]["generation"] == 2

    def code() -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(path, method="HEAD"), timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code

    eventually_here(
        lambda: {code() for _ in range(12)} == {401}, "the old ones, which were told to, to accept no more"
    )
    eventually_here(lambda: keeper not in origin.children(), "the old keeper to answer the operator no more")
    assert json.loads(get(origin, "/status"))["generation"] == 2
    eventually_here(lambda: len(workers(origin)) == 3, "all to serve")
    serving = [each for each in json.loads(get(origin, "/status"))["workers"] if each["state"] == "serving"]
    assert [each["generation"] for each in serving] == [2, 2, 2]
    assert not old & {each["pid"] for each in serving}
    assert pull.finish() == DIGEST, "an old process ends what it has"
    origin.config.write_text("role: nobody\n")
    supervisor(origin).send_signal(signal.SIGHUP)
    eventually_here(lambda: "the old one holds" in origin.log.read_text(), "the fault is told")
    eventually_here(
        lambda: b"registry_mesh_config_last_reload_successful 0.0" in get(origin, "/metrics"), "and counted"
    )
    assert {each["pid"] for each in serving} == workers(origin)
    eventually_here(lambda: "reload-failed" in found(origin), "and a finding")
    origin.change(config)
    supervisor(origin).send_signal(signal.SIGHUP)
    eventually_here(lambda: len(reread(origin)) == 2, "it is taken again")
    eventually_here(lambda: "reload-failed" not in found(origin), "and none any more")
    labels = f'code="2xx",endpoint="blob",method="GET",registry="{nodes.REGISTRY}"'
    one = f"registry_mesh_requests_total{{{labels}}} 1.0".encode()
    eventually_here(lambda: one in get(origin, "/metrics"), "the pull to count")


def found(node: nodes.Node) -> set[str]:
    return {each["name"] for each in json.loads(get(node, "/api/1/findings"))["findings"]}


def test_a_tags_lifetime_changes_without_a_restart(origin: nodes.Node, tmp_path: Path) -> None:
    def push(text: str) -> bytes:
        config = {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": len(DATA)}
        document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
        data = json.dumps({**document, "annotations": {"text": text}}).encode()
        put(origin, "/v2/team/app/manifests/1", data, OCI_MANIFEST)
        return data

    def lifetime(ttl: str) -> dict[str, Any]:
        return {"role": "site", "registries": nodes.registries(origin.url, tags={"ttl": ttl})}

    first = push("first")
    with nodes.Node(tmp_path / "site", lifetime("1h")) as site:
        assert pulled(site, "/v2/team/app/manifests/1") == first
        second = push("second")
        assert pulled(site, "/v2/team/app/manifests/1") == first, "it is good for an hour"
        site.change(lifetime("0s"))
        supervisor(site).send_signal(signal.SIGHUP)
        eventually_here(lambda: len(reread(site)) == 1, "it is taken")
        assert reread(site)[0]["took_effect"] == ["registries"]
        eventually_here(lambda: pulled(site, "/v2/team/app/manifests/1") == second, "it is asked for anew")


def test_a_store_that_the_new_file_cannot_have_leaves_the_old_in_force(origin: nodes.Node) -> None:
    eventually_here(lambda: len(workers(origin)) == 2, "both to serve")
    before = workers(origin)
    store = origin.folder / "broken"
    store.mkdir()
    (store / "blobs").write_text("a file, where the store has a folder")
    origin.change({"role": "origin", "registry": nodes.REGISTRY, "store": {"disk": {"path": str(store)}}})
    supervisor(origin).send_signal(signal.SIGHUP)
    eventually_here(lambda: "the old one holds" in origin.log.read_text(), "the fault is told")
    assert f"opening the store in {store}" in origin.log.read_text()
    assert workers(origin) == before
    assert answers(f"{origin.url}/v2/")


def is_let_in(port: int, shown: trustme.LeafCert) -> bool:
    """Whether a client that shows this certificate gets an answer."""
    context = ssl._create_unverified_context()
    shown.configure_cert(context)
    try:
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/v2/", timeout=60, context=context) as answer:
            return int(answer.status) == 200
    except urllib.error.HTTPError as refused:
        return refused.code == 401
    except OSError:
        return False


def test_other_ports_and_certificates_are_taken_over(origin: nodes.Node) -> None:
    port, old = free_port(), origin.port
    authority = trustme.CA()
    pem = origin.folder / "node.pem"

    def certify() -> None:
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(pem))

    certify()
    believed = [trustme.CA(), trustme.CA()]
    clients = origin.folder / "clients.pem"
    believed[0].cert_pem.write_to_path(str(clients))
    tls = {"certificate": str(pem), "key": str(pem), "clients": str(clients)}
    origin.change(
        {
            "role": "origin",
            "registry": nodes.REGISTRY,
            "listen": {"address": "127.0.0.1", "port": port, "tls": tls},
        }
    )
    supervisor(origin).send_signal(signal.SIGHUP)
    eventually_here(lambda: len(reread(origin)) == 1, "it is taken")
    eventually_here(lambda: refuses(old), "the old port is left")
    first = {ssl.get_server_certificate(("127.0.0.1", port)) for _ in range(6)}
    assert [is_let_in(port, each.issue_cert("site.example")) for each in believed] == [True, False]
    certify()
    believed[1].cert_pem.write_to_path(str(clients))
    supervisor(origin).send_signal(signal.SIGHUP)
    eventually_here(lambda: len(reread(origin)) == 2, "it is taken again")
    assert reread(origin)[1]["took_effect"] == []
    assert len(first) == 1
    shown: set[str] = set()

    def another_alone() -> bool:
        shown.clear()
        shown.update(ssl.get_server_certificate(("127.0.0.1", port)) for _ in range(6))
        return len(shown) == 1 and shown != first

    eventually_here(another_alone, "the file is read again though its name is the same")
    # Six connections may all have come to one of two processes: the other reads its files in its own time.
    eventually_here(
        lambda: [is_let_in(port, each.issue_cert("site.example")) for each in believed] == [False, True],
        "as is the one of clients",
    )


def test_the_access_log_is_opened_anew(tmp_path: Path) -> None:
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    with nodes.origin(tmp_path / "origin", workers=2, log={"access": str(log)}) as node:
        eventually_here(lambda: log.stat().st_size > 0, "a line is written")
        log.rename(moved)
        supervisor(node).send_signal(signal.SIGUSR1)
        eventually_here(log.exists, "there is a new one")

        def both() -> bool:
            return (
                answers(f"{node.url}/v2/")
                and len({json.loads(line)["id"][:8] for line in whole_lines(log)}) == 2
            )

        eventually_here(both, "both workers write to it")


def test_pulls_go_on_while_ten_configurations_follow_each_other(origin: nodes.Node) -> None:
    """Over connections of their own and over one that is kept."""
    failed: list[str] = []
    done, ended = [0], threading.Event()
    path = f"/v2/team/app/blobs/{DIGEST}"

    def pull(kept: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", origin.port, timeout=60)
        while not ended.is_set():
            try:
                connection.request("GET", path, headers={"Range": "bytes=0-65535"})
                answer = connection.getresponse()
                if answer.status != 206 or answer.read() != DATA[:65536]:
                    failed.append(str(answer.status))
                done[0] += 1
            except (OSError, http.client.HTTPException) as fault:
                failed.append(repr(fault))
            if not kept:
                connection.close()
        connection.close()

    pullers = [threading.Thread(target=pull, args=(kept,)) for kept in (False, True, False, True)]
    for each in pullers:
        each.start()
    try:
        for number in range(10):
            count = done[0]
            workers = 1 + number % 3
            origin.change({"role": "origin", "registry": nodes.REGISTRY, "workers": workers})
            supervisor(origin).send_signal(signal.SIGHUP)
            eventually_here(lambda n=number: len(reread(origin)) == n + 1, "it is taken")  # type: ignore[misc]
            eventually_here(lambda c=count: done[0] > c + 20, "pulls go on")  # type: ignore[misc]
    finally:
        ended.set()
        for each in pullers:
            each.join()
    assert failed == []
    assert supervisor(origin).poll() is None


def test_a_node_serves_while_its_configuration_is_read(tmp_path: Path) -> None:
    """As on a disk that hangs: who opens the file waits, until the lease on it is given back (fcntl(2))."""
    with nodes.origin(tmp_path / "origin", workers=1) as node:
        config = {
            "role": "origin",
            "registry": nodes.REGISTRY,
            "access": {"anonymous": "nothing"},
            "listen": {"port": node.port},
            "admin": {"port": node.admin_port},
            "store": {"disk": {"path": str(node.folder / "store")}},
        }
        node.config.write_text(json.dumps(config))
        with leased(node.config) as wanted:
            supervisor(node).send_signal(signal.SIGHUP)
            eventually_here(wanted, "the worker to read its configuration")
            for _ in range(3):
                assert answers(f"{node.url}/v2/")
        eventually_here(lambda: not answers(f"{node.url}/v2/"), "the new access holds")


@contextlib.contextmanager
def leased(path: Path) -> Iterator[Callable[[], bool]]:
    """Whoever opens the file waits meanwhile. Gives whether anybody does."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # which says so, and would end us
    try:
        with path.open("r+b") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            yield lambda: fcntl.fcntl(file, fcntl.F_GETLEASE) != fcntl.F_WRLCK
    finally:
        signal.signal(signal.SIGIO, before)


def serve(path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return programs.run("serve", path, **env)


def test_an_invalid_configuration_is_exit_78(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("role: site\nstore: {disk: {path: x}}\n")
    done = serve(path)
    assert done.returncode == 78
    assert "a site needs registries" in done.stderr


def test_a_taken_port_is_said_in_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        path = tmp_path / "node.yaml"
        path.write_text(
            f"role: origin\nstore: {{disk: {{path: {tmp_path}/x}}}}\nlisten: {{port: {port}}}\nadmin: {{port: 0}}\n"
        )
        done = serve(path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use; "
        f"`ss -tanp sport = :{port}` names the program"
    )


def test_a_store_that_cannot_be_opened_ends_the_node_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "blobs").write_text("a file, where the store has a folder")
    path = tmp_path / "node.yaml"
    path.write_text(
        f"role: origin\nstore: {{disk: {{path: {tmp_path}/store}}}}\nlisten: {{port: 0}}\nadmin: {{port: 0}}\n"
    )
    done = serve(path)
    assert done.returncode == 78, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{path}:2:22: store.disk.path: opening the store in {tmp_path}/store: ")


@pytest.mark.s3
@pytest.mark.parametrize(
    ("name", "secret", "words"),
    [
        (
            "no-such-bucket",
            None,
            "the bucket answered 404 to HEAD of the bucket no-such-bucket: there is no such",
        ),
        (None, "wrong", "the bucket answered 403 to HEAD of the bucket"),
    ],
)
def test_a_bucket_that_is_not_ours_ends_the_node_in_a_line(
    tmp_path: Path, bucket: Bucket, name: str | None, secret: str | None, words: str
) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(
        f"role: origin\nstore: {{s3: {{bucket: {name or bucket.name}, endpoint: {bucket.endpoint}}}}}\n"
        "listen: {port: 0}\nadmin: {port: 0}\n"
    )
    done = serve(path, AWS_ACCESS_KEY_ID=bucket.access_key, AWS_SECRET_ACCESS_KEY=secret or bucket.secret_key)
    assert done.returncode == 78, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{path}:2:22: store.s3.bucket: {words}")


def test_as_many_files_as_the_administrator_allows(tmp_path: Path) -> None:
    """Shells and container runtimes give 1,024, which 1,000 nodes use up."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    origin = nodes.origin(tmp_path / "origin", workers=1)
    origin.within = ("prlimit", "--nofile=200:", "--")
    with origin as node:
        [worker] = workers(node)
        [line] = re.findall("Max open files.*", Path(f"/proc/{worker}/limits").read_text())
        assert line.split()[3:5] == [str(hard)] * 2
