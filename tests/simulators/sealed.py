"""A site in a network of its own, where each packet is counted that goes elsewhere than it may.

Run as a program inside `unshare --net --mount`, as root; `table` does that. Beside the site there are in that network a
parent and a bucket, at addresses of their own, that lead wherever an attack says; a name server; and a link to the
world, behind which nobody is. The kernel counts what leaves for any other address, loopback's included, and refuses it.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from registry_mesh.assembly.node.build import Node
from registry_mesh.config.schema import Config
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry_mesh.oci.span import Span
from registry_mesh.ports.failures import Failure
from registry_mesh.stores.bucket.client import S3Client
from registry_mesh.stores.bucket.control import S3Control
from registry_mesh.stores.bucket.settings import S3Credentials, S3Settings
from registry_mesh.stores.bucket.signing import BucketSigner

PARENT, BUCKET = "192.0.2.10", "192.0.2.20"
PUBLIC = "93.184.215.14"
ADDRESSES: Final = {
    "parent.test": PARENT,
    "bucket.test": BUCKET,
    "cdn.elsewhere.test": PUBLIC,
    "inner.elsewhere.test": "127.0.0.1",
    "moved.parent.test": "127.0.0.1",
    "metadata.parent.test": "169.254.169.254",
}
"""What the name server says. The last two lie below the parent's name, and have been made to lead inward."""

_LINK: Final = """
ip link set lo up
ip address add 192.0.2.10/32 dev lo
ip address add 192.0.2.20/32 dev lo
ip link add out0 type veth peer name out1
ip link set out0 up
ip link set out1 up
ip address add 198.18.0.1/24 dev out0
ip neighbour add 198.18.0.2 lladdr 02:00:00:00:00:02 dev out0
ip route add default via 198.18.0.2
ip -6 address add 2001:db8::1/64 dev out0 nodad
ip -6 neighbour add 2001:db8::2 lladdr 02:00:00:00:00:02 dev out0
ip -6 route add default via 2001:db8::2
iptables -A OUTPUT -p tcp -d 192.0.2.10 --dport 5000 -j ACCEPT
iptables -A OUTPUT -p tcp -s 192.0.2.10 --sport 5000 -j ACCEPT
iptables -A OUTPUT -p tcp -d 192.0.2.20 --dport 9000 -j ACCEPT
iptables -A OUTPUT -p tcp -s 192.0.2.20 --sport 9000 -j ACCEPT
iptables -A OUTPUT -p tcp -d 127.0.0.1 --dport 5001 -j ACCEPT
iptables -A OUTPUT -p tcp -s 127.0.0.1 --sport 5001 -j ACCEPT
iptables -A OUTPUT -p udp -d 127.0.0.53 --dport 53 -j ACCEPT
iptables -A OUTPUT -p udp -s 127.0.0.53 --sport 53 -j ACCEPT
iptables -A OUTPUT -p tcp --tcp-flags RST RST -j ACCEPT
iptables -A OUTPUT -p tcp -j REJECT --reject-with tcp-reset -m comment --comment elsewhere
iptables -A OUTPUT -j DROP -m comment --comment elsewhere
ip6tables -A OUTPUT -p icmpv6 -j ACCEPT
ip6tables -A OUTPUT -p tcp --tcp-flags RST RST -j ACCEPT
ip6tables -A OUTPUT -p tcp -j REJECT --reject-with tcp-reset -m comment --comment elsewhere
ip6tables -A OUTPUT -j DROP -m comment --comment elsewhere
"""
"""The site listens at port 5001, the parent at 5000, the bucket at 9000. Resets are the kernel's answers."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack came to: `said` is the answer of the site, or what the bucket's client raised; `packets`, those
    that went elsewhere; `names`, those that were asked of the name server, beside the parent's and the bucket's."""

    said: str
    packets: int
    names: list[str]


def table(attacks: dict[str, tuple[str, str]]) -> dict[str, Outcome]:
    """The outcome of each attack: (by what the parent leads on, where to)."""
    command = [
        "unshare", "--net", "--mount", "--fork", "--kill-child=SIGKILL",
        sys.executable, "-m", "tests.simulators.sealed",
    ]  # fmt: skip
    done = subprocess.run(
        command, input=json.dumps(attacks), capture_output=True, text=True, timeout=280, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return {name: Outcome(**told) for name, told in json.loads(done.stdout).items()}


def _counted() -> int:
    """Packets that went elsewhere."""
    packets = 0
    for command in ("iptables", "ip6tables"):
        told = subprocess.run([command, "-L", "OUTPUT", "-v", "-x", "-n"], capture_output=True, check=True)
        rules = [line.split() for line in told.stdout.decode().splitlines() if "elsewhere" in line]
        packets += sum(int(rule[0]) for rule in rules)
    return packets


class NameServer(asyncio.DatagramProtocol):
    """Answers for `ADDRESSES`; every other name is unknown (RFC 1035)."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        name, at = [], 12
        while data[at]:
            name.append(data[at + 1 : at + 1 + data[at]].decode("ascii", "replace"))
            at += 1 + data[at]
        question, kind = data[12 : at + 5], data[at + 1 : at + 3]
        host = ".".join(name).lower()
        self.asked.append(host)
        found = ADDRESSES.get(host)
        records = b""
        if found is not None and kind == b"\0\1":
            four = bytes(int(part) for part in found.split("."))
            records = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + four
        code = 0x8180 if found is not None else 0x8183
        head = data[:2] + code.to_bytes(2) + b"\0\1" + (b"\0\1" if records else b"\0\0") + b"\0\0\0\0"
        self._transport.sendto(head + question + records, address)


class Deceiver:
    """A parent that leads each repository's pulls where its attack says. Repositories are numbered."""

    def __init__(self, attacks: list[tuple[str, str]]) -> None:
        self._attacks = attacks

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        found = re.match(r"/v2/(?:chain/)?a(\d+)/", request.path)
        if found is None:
            return web.json_response({})
        how, where = self._attacks[int(found[1])]
        if how == "chain" and "/chain/" not in request.path:
            return _led(request.path.replace("/v2/", "/v2/chain/"))
        if how == "realm":
            challenge = f'Bearer realm="{where}",service="s",scope="repository:a:pull"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        if how in ("tags", "referrers"):
            body = {"tags": ["1"], "manifests": [], "schemaVersion": 2, "mediaType": OCI_INDEX}
            return web.json_response(body, headers={"Link": f'<{where}>; rel="next"'}, content_type=OCI_INDEX)
        return _led(where)


def _led(where: str) -> web.Response:
    return web.Response(status=307, headers={"Location": where})


class Bucket:
    """A bucket that answers everything by leading elsewhere."""

    how, where = "bucket", ""

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.how == "bucket":
            return _led(self.where)
        host = self.where.split("/")[2]
        body = f"<Error><Code>PermanentRedirect</Code><Endpoint>{host}</Endpoint><Bucket>b</Bucket></Error>"
        return web.Response(
            status=301, text=body, headers={"x-amz-bucket-region": "eu-west-3", "Location": self.where}
        )


async def _ask_bucket() -> str:
    settings = S3Settings(
        "b", "http://bucket.test:9000", region="us-east-1", credentials=S3Credentials("key", "secret")
    )
    control = await S3Control.open(settings)
    client = S3Client(S3Client.session(), BucketSigner(control.credentials, control.region), control.base)
    said = []
    try:
        for ask in (control.check(), client.get("k"), client.head("k"), client.put("k", b"x"), _read(client)):
            try:
                said.append(f"gave {await ask!r}")
            except Failure as failure:
                said.append(failure.reason)
    finally:
        await client.close()
        await control.close()
    return "; ".join(said)


async def _read(client: S3Client) -> bytes:
    return b"".join([piece async for piece in client.pieces("k", Span(0, 6), 6, tries=1)])


@asynccontextmanager
async def _listening(handler: Any, address: str, port: int) -> AsyncIterator[None]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


def _path(how: str, number: int) -> str:
    """What is asked for. Each attack has a blob of its own: who lied twice about one is not asked for it again."""
    digest = Digest.of(f"blob {number}".encode())
    if how in ("tags", "manifest"):
        return "tags/list" if how == "tags" else "manifests/1"
    return f"{'referrers' if how == 'referrers' else 'blobs'}/{digest}"


async def _ask(client: aiohttp.ClientSession, how: str, number: int) -> str:
    registry = "public.test" if how == "public" else "never.test"
    url = f"http://127.0.0.1:5001/v2/a{number}/{_path(how, number)}?ns={registry}"
    async with client.get(url, headers={"Accept": OCI_MANIFEST}) as answer:
        return f"{answer.status} {(await answer.read()).decode('utf-8', 'replace')}"


async def _run(attacks: dict[str, tuple[str, str]], folder: Path) -> dict[str, Any]:
    loop, names, bucket = asyncio.get_running_loop(), NameServer(), Bucket()
    parents = {"parents": [["http://parent.test:5000"]]}
    config = Config.model_validate(
        {
            "role": "site",
            "listen": {"address": "127.0.0.1", "port": 5001},
            "admin": {"port": 0},
            "store": {"disk": {"path": str(folder / "store")}},
            "registries": {"never.test": parents, "public.test": {**parents, "direct": "public"}},
        }
    )
    outcomes = {}
    async with AsyncExitStack() as stack:
        server, _ = await loop.create_datagram_endpoint(lambda: names, local_addr=("127.0.0.53", 53))
        stack.callback(server.close)
        await stack.enter_async_context(_listening(Deceiver(list(attacks.values())), PARENT, 5000))
        await stack.enter_async_context(_listening(bucket, BUCKET, 9000))
        node = Node(config)
        await node.start()
        stack.push_async_callback(node.close)
        client = await stack.enter_async_context(aiohttp.ClientSession())
        for number, (name, (how, where)) in enumerate(attacks.items()):
            before, asked = _counted(), len(names.asked)
            if how.startswith("bucket"):
                bucket.how, bucket.where = how, where
                said = await _ask_bucket()
            else:
                said = await _ask(client, how, number)
            foreign = sorted({*names.asked[asked:]} - {"parent.test", "bucket.test"})
            outcomes[name] = {"said": said, "packets": _counted() - before, "names": foreign}
    return outcomes


def _main() -> None:
    for line in _LINK.strip().splitlines():
        subprocess.run(line.split(), check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "resolv.conf").write_text("nameserver 127.0.0.53\noptions timeout:30 attempts:1\n")
        subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)
        outcomes = asyncio.run(_run(json.loads(sys.stdin.read()), folder))
    print(json.dumps(outcomes))


if __name__ == "__main__":
    _main()
