"""What a hit costs more by a field of its head, by callers with credentials, with pulls counted and clients bounded."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import bcrypt

from loadtests.hit_site import CALLS, Client, request
from loadtests.steady import BATCH, over_the_first
from registry_mesh.access.authorizer import Authorizer
from registry_mesh.access.tokens import Tokens, new_key
from registry_mesh.auth.access import PULLING
from registry_mesh.auth.book import Book
from registry_mesh.auth.grants import Scope
from registry_mesh.auth.policies import Policies, levels
from registry_mesh.edge.client_limits import ClientLimits, Limits
from registry_mesh.edge.hot.connection import FastConnection
from registry_mesh.edge.hot.entries import Hot
from registry_mesh.edge.hot.fast_path import FastPath
from registry_mesh.edge.pulled import Pulled
from registry_mesh.edge.server import Server
from registry_mesh.oci.digest import Digest

SHORT: Final = 1 << 10
"""Bytes of a range where only differences are looked at."""
TOKENS: Final = 10_000
CONNECTIONS: Final = 200
BAR: Final = 1.0
"""Microseconds that a field or a caller may cost more."""
ROUNDS: Final = 2 * TOKENS // BATCH
SHAPES: Final = {
    "traceparent": "traceparent: 00-{0:032x}-{0:016x}-01\r\n",
    "Via": "Via: 1.1 proxy\r\n",
    "X-Forwarded-For": "X-Forwarded-For: 10.0.{0}.1\r\n",
    "X-Request-Id": "X-Request-Id: {0:032x}\r\n",
    "Connection: keep-alive": "Connection: keep-alive\r\n",
    "If-None-Match": 'If-None-Match: "sha256:{0:064x}"\r\n',
}
"""Fields that clients, proxies and tracers add, with a value of its own in each request where they have one."""

Bytes = dict[int, bytes]


class Received:
    """Requests of several kinds, as a socket gives them: the bytes of each are new, and near, where what is known of
    its caller is far."""

    def __init__(self, kinds: Mapping[str, Sequence[bytes]]) -> None:
        self._kinds = kinds
        self.come: dict[str, Bytes] = {name: {} for name in kinds}

    def __call__(self, numbers: range) -> None:
        """Those of these numbers are next."""
        for name, sent in self._kinds.items():
            self.come[name].clear()
            self.come[name].update({n: bytes(bytearray(sent[n % len(sent)])) for n in numbers})


def _print(costs: Mapping[str, float], first: str) -> None:
    for name, cost in costs.items():
        print(f"{name if name == first else f'  more {name}':52} {cost:6.2f}")


async def measure_callers(server: Server, connection: FastConnection, client: Client, digest: Digest) -> None:
    """Print what a hit costs more than one by nobody, with nothing but the usual fields. Ranges are short: all but the
    send is the same. Each is held to `BAR`."""
    path = connection._path
    assert path is not None and server.hot is not None
    asked = [request(digest, number, SHORT) for number in range(CALLS)]
    shown = await _credentials(server.hot, path)
    tokens, basic = shown[:-1], shown[-1]
    received = Received(
        {
            "": asked,
            **{f"with {name}": _with(line, asked) for name, line in SHAPES.items()},
            "with all of them": _with("".join(SHAPES.values()), asked),
            "with the same token": [_showing(tokens[0], each) for each in asked],
            "with two tokens in turn": _turns(tokens[:2], asked),
            f"with {TOKENS} tokens in turn": _turns(tokens, asked),
            "the same, its line behind the range": [
                asked[n % CALLS][:-2] + f"Authorization: {each}\r\n\r\n".encode()
                for n, each in enumerate(tokens)
            ],
            "with Basic": [_showing(basic, each) for each in asked],
        }
    )
    pulled, limits = Pulled(), ClientLimits(Limits(requests=1e9, bytes=1e15))

    def ask(data: bytes, pulls: Pulled | None = None, bounds: ClientLimits | None = None) -> None:
        path.pulled, path.client_limits = pulls, bounds
        connection.data_received(data)

    for each in _turns(shown, asked):  # a right is asked for once in a token's life
        ask(each)
        client.drop()
    plain = received.come[""]
    variants: dict[str, Callable[[int], object]] = {
        name or "by nobody, CPU (bar of each of these: 1)": lambda n, come=come: ask(come[n])  # type: ignore[misc]
        for name, come in received.come.items()
    }
    variants["where pulls are counted"] = lambda n: ask(plain[n], pulls=pulled)
    variants["where clients are bounded"] = lambda n: ask(plain[n], bounds=limits)
    _print(over_the_first(variants, client.drop, rounds=ROUNDS, before=received), next(iter(variants)))
    path.pulled = path.client_limits = None
    await _measure_connections(server, asked, _turns(tokens, asked))


def _with(line: str, requests: Sequence[bytes]) -> list[bytes]:
    """The requests, each with the line before its end."""
    return [each[:-2] + line.format(number).encode() + b"\r\n" for number, each in enumerate(requests)]


def _turns(shown: Sequence[str], asked: Sequence[bytes]) -> list[bytes]:
    return [_showing(each, asked[number % CALLS]) for number, each in enumerate(shown)]


def _showing(authorization: str, data: bytes) -> bytes:
    """The request with the credentials before its range, as Go writes them: its fields are sorted."""
    line = f"\r\nAuthorization: {authorization}\r\nRange: "
    return data.replace(b"\r\nRange: ", line.encode())


async def _measure_connections(server: Server, asked: list[bytes], lines: list[bytes]) -> None:
    """The same by clients that each have a connection and a token of their own, asked in turn."""
    known = set(server.connections_open())
    clients = [Client(server.port) for _ in range(CONNECTIONS)]
    while len(known) + CONNECTIONS > len(list(server.connections_open())):
        await asyncio.sleep(0.01)
    connections = [each for each in server.connections_open() if each not in known]
    received = Received({"": asked, "token": lines[:: TOKENS // CONNECTIONS]})
    plain, shows = received.come.values()

    def drop() -> None:
        for each in clients:
            each.drop()

    costs = over_the_first(
        {
            f"by nobody, over {CONNECTIONS} connections": lambda n: connections[
                n % CONNECTIONS
            ].data_received(plain[n]),
            f"with a token each, of {TOKENS}": lambda n: connections[n % CONNECTIONS].data_received(shows[n]),
        },
        drop,
        rounds=8 * CONNECTIONS // BATCH,
        before=received,
    )
    _print(costs, next(iter(costs)))
    for each in clients:
        each.close()


async def _credentials(hot: Hot, path: FastPath) -> list[str]:
    """Tokens, and a login by Basic at the end, that are all known, and good for the repository."""
    hashes = {"anna": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()}
    anybody = Book(Policies(levels(PULLING, PULLING), {}), hashes)
    authorizer = Authorizer(anybody, Tokens(new_key(), "node", "node", 86_400), time.time)
    path._policy = authorizer
    shown = []
    for _ in range(TOKENS):
        issued = await authorizer.issue(None, [Scope.parse("repository:team/app:pull")])
        shown.append((f"Bearer {issued.token}", "anonymous"))
    shown.append(("Basic " + base64.b64encode(b"anna:secret").decode(), "anna"))
    for authorization, subject in shown:
        await authorizer.learn(authorization)
        hot.callers.keep(authorization, subject)
    await asyncio.sleep(0)
    return [authorization for authorization, _ in shown]
