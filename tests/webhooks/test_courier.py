"""Deliveries, to real receivers over HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trustme

from registry_mesh.oci.digest import Digest
from registry_mesh.ports.happenings import DELETE, PUSH, Happening
from registry_mesh.telemetry.logs import FIELDS
from registry_mesh.webhooks.courier import LOOK, Courier, open_session
from registry_mesh.webhooks.courier import Receiver as Told
from registry_mesh.webhooks.outbox import QueuedOutbox, Wish
from registry_mesh.webhooks.queue import Counts, Queue
from registry_mesh.webhooks.signature import SecretInvalid, key_of
from tests.simulators.ports import free_port
from tests.simulators.receiver import KEY, SECRET, Receiver, receiving

NOW = 1_800_000_000.0
DIGEST = Digest.of(b"x")


def happening(kind: str = PUSH, repository: str = "atlas/athena", at: float = NOW) -> Happening:
    return Happening(kind, repository, DIGEST, ("1.0",), "application/x", 7, "alice", at)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = Queue(str(tmp_path / "queue.sqlite"), 100)
    yield queue
    queue.close()


def outbox(queue: Queue, *wishes: Wish) -> QueuedOutbox:
    wishes = wishes or (Wish("ci", (PUSH, DELETE), lambda name: name.startswith("atlas/")),)
    return QueuedOutbox(queue, wishes, "//registry.example", "registry.example")


class Clock:
    """The present, for signatures are checked against it; `ahead` moves it."""

    ahead = 0.0

    def __call__(self) -> float:
        import time

        return time.time() + self.ahead


@asynccontextmanager
async def courier(
    queue: Queue,
    url: str,
    key: bytes | Exception = KEY,
    keep: float = 1e12,
    proxy: str | None = None,
    ca: str | None = None,
) -> AsyncIterator[Courier]:
    def told() -> bytes:
        if isinstance(key, Exception):
            raise key
        return key

    async with open_session() as session:
        yield Courier(Told("ci", url, told, keep, proxy, ca), queue, session, Clock())


async def test_an_event_is_a_signed_cloud_event(queue: Queue) -> None:
    await outbox(queue).add(happening())
    async with receiving(Receiver()) as receiver, courier(queue, receiver.url) as bringing:
        assert await bringing.step() == 0.0
        assert await bringing.step() == LOOK
    (event,) = receiver.events
    assert (receiver.forged, receiver.types) == (0, {"application/cloudevents+json; charset=utf-8"})
    assert {key: event[key] for key in ("specversion", "source", "type", "subject", "time")} == {
        "specversion": "1.0",
        "source": "//registry.example",
        "type": "registry-mesh.push",
        "subject": "atlas/athena:1.0",
        "time": "2027-01-15T08:00:00.000+00:00",
    }
    assert event["data"] == {
        "action": "push", "registry": "registry.example", "repository": "atlas/athena", "digest": str(DIGEST),
        "tags": ["1.0"], "mediaType": "application/x", "size": 7, "by": "alice",
    }  # fmt: skip
    assert queue.counts() == {"ci": Counts(0, 1, 0)}


async def test_a_forged_body_is_found_out(queue: Queue) -> None:
    await outbox(queue).add(happening())
    async with receiving(Receiver()) as receiver, courier(queue, receiver.url, b"k" * 32) as bringing:
        await bringing.step()
    assert (receiver.forged, receiver.events) == (1, [])


async def test_only_what_is_wanted_is_told(queue: Queue) -> None:
    box = outbox(
        queue,
        Wish("pushes", (PUSH,), lambda name: True),
        Wish("cms", (PUSH, DELETE), lambda name: name == "cms"),
    )
    await box.add(happening(DELETE))
    await box.add(happening(PUSH))
    await box.add(happening(DELETE, "cms"))
    assert {name: each.waiting for name, each in queue.counts().items()} == {"pushes": 1, "cms": 1}


@pytest.mark.parametrize("status", [500, 503, 404, 401, 429, 307])
async def test_a_receiver_that_fails_is_asked_again_less_and_less_often(queue: Queue, status: int) -> None:
    for i in range(3):
        await outbox(queue).add(happening(at=NOW + i))
    async with (
        receiving(Receiver(statuses=[status] * 12)) as receiver,
        courier(queue, receiver.url) as bringing,
    ):
        waits = [await bringing.step() for _ in range(12)]
        assert 0.9 <= waits[0] <= 1.1 and 3.6 <= waits[2] <= 4.4 and 810 <= waits[11] <= 990
        assert f"answered {status}" in bringing.why and bringing.failing_since
        for _ in range(3):
            await bringing.step()
        assert (bringing.why, bringing.failing_since) == ("", 0.0)
    assert [event["time"][17:19] for event in receiver.events] == ["00", "01", "02"]
    assert receiver.tries == 15


async def test_a_receiver_that_is_not_there_loses_nothing(queue: Queue) -> None:
    await outbox(queue).add(happening())
    port = free_port()
    async with courier(queue, f"http://127.0.0.1:{port}/hook") as bringing:
        await bringing.step()
        assert bringing.why
        async with receiving(Receiver(), port) as receiver:
            await bringing.step()
    assert len(receiver.events) == 1


async def test_an_event_that_is_refused_for_what_it_is_makes_way(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(2):
        await outbox(queue).add(happening(at=NOW + i))
    with caplog.at_level(logging.INFO):
        async with (
            receiving(Receiver(statuses=[422] * 3)) as receiver,
            courier(queue, receiver.url) as bringing,
        ):
            for _ in range(4):
                await bringing.step()
    assert [event["time"][17:19] for event in receiver.events] == ["01"]
    assert queue.counts()["ci"] == Counts(0, 1, 1)
    assert "an event for a webhook is given up" in caplog.text
    assert "hidden" not in caplog.text and not any("hidden" in str(vars(each)) for each in caplog.records)


async def test_what_is_too_old_is_given_up(queue: Queue) -> None:
    await outbox(queue).add(happening(at=NOW - 1e9))
    async with receiving(Receiver()) as receiver, courier(queue, receiver.url, keep=60.0) as bringing:
        await bringing.step()
    assert (receiver.tries, queue.counts()["ci"]) == (0, Counts(0, 0, 1))


async def test_a_full_queue_lets_go_of_the_oldest(queue: Queue) -> None:
    for i in range(130):
        await outbox(queue).add(happening(at=NOW + i))
    first = queue.first("ci")
    assert first is not None and first.at == NOW + 30
    assert queue.counts()["ci"] == Counts(100, 0, 30)


@pytest.mark.parametrize("fault", [SecretInvalid("too short"), PermissionError(13, "Permission denied")])
async def test_without_a_key_nothing_is_sent(queue: Queue, fault: Exception) -> None:
    await outbox(queue).add(happening())
    async with receiving(Receiver()) as receiver, courier(queue, receiver.url, fault) as bringing:
        assert await bringing.step() > 0
        assert bringing.why.startswith("its secret: ")
    assert receiver.tries == 0


async def test_a_receiver_that_fails_for_weeks_is_asked_every_quarter_of_an_hour(queue: Queue) -> None:
    await outbox(queue).add(happening())
    async with courier(queue, "http://127.0.0.1:1/", SecretInvalid("too short")) as bringing:
        waits = {await bringing.step() for _ in range(1100)}
    assert 900 < max(waits) <= 990


async def test_a_queue_that_cannot_be_written_to_fails_no_push(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    await outbox(Queue(str(tmp_path / "file" / "queue"), 100)).add(happening())
    assert "an event is lost" in caplog.text


async def test_pushes_do_not_wait_for_a_locked_queue_one_after_the_other(
    queue: Queue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue.keep([])
    with closing(sqlite3.connect(tmp_path / "queue.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        await asyncio.gather(*(outbox(queue).add(happening()) for _ in range(8)))
    why = [getattr(each, FIELDS)["why"].partition(": ")[2] for each in caplog.records]
    assert len(why) == 8 and set(why) == {"database is locked", "busy for 1 s"}


async def test_receivers_that_are_gone_are_forgotten(queue: Queue) -> None:
    await outbox(queue).add(happening())
    queue.keep(["other"])
    assert (queue.counts(), queue.first("ci")) == ({}, None)


def test_keys() -> None:
    assert key_of(SECRET + "\n") == KEY
    assert key_of("a plain text of many bytes") == b"a plain text of many bytes"
    for text in ("short", "whsec_AAAA", "whsec_###", ""):
        with pytest.raises(SecretInvalid):
            key_of(text)


async def test_a_receiver_behind_a_proxy(queue: Queue) -> None:
    """The proxy takes the whole address, and looks for the receiver itself."""
    await outbox(queue).add(happening())
    async with receiving(Receiver()) as proxy:
        url, at = "http://receiver.invalid/hook", proxy.url.partition("/hook")[0]
        async with courier(queue, url) as straight:
            await straight.step()
            assert straight.why
        async with courier(queue, url, proxy=at) as bringing:
            await bringing.step()
    assert len(proxy.events) == 1
    assert queue.counts() == {"ci": Counts(0, 1, 0)}


async def test_a_receiver_of_an_authority_of_its_own(queue: Queue, tmp_path: Path) -> None:
    """A renewed file holds at once; a file that is gone keeps the event."""
    authority, ca = trustme.CA(), tmp_path / "ca.pem"
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    await outbox(queue).add(happening())
    async with receiving(Receiver(), tls=tls) as receiver:
        async with courier(queue, receiver.url) as bringing:
            await bringing.step()
            assert bringing.why
        async with courier(queue, receiver.url, ca=str(ca)) as bringing:
            await bringing.step()
            assert "No such file" in bringing.why
            trustme.CA().cert_pem.write_to_path(str(ca))
            await bringing.step()
            assert "No such file" not in bringing.why != ""
            assert receiver.events == []
            seen = ca.stat()
            ca.unlink()
            authority.cert_pem.write_to_path(str(ca))
            os.utime(ca, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # as an archive has it
            await bringing.step()
            assert bringing.why == ""
    assert len(receiver.events) == 1
