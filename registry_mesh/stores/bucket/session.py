"""What is known of an upload session in a bucket: a log of create-only records that any host may go on with.

    uploads/<id>/<20-digit number>    what has changed since the number before; every 64th says everything
    tails/<id>/<uuid>                 bytes that do not fill a part yet

Creating number N+1 is the compare-and-set: of two hosts that append at once, one is told that it lost. A record with
lease (`held`) says that an append is running and until when to believe it; one that died without a word is
overtaken then.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from registry_mesh.chunks.sums import NEWEST, SumAlgorithm
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.ports.documents import decode, encode
from registry_mesh.ports.failures import StoreBroken
from registry_mesh.ports.uploads import Owner
from registry_mesh.stores.bucket.objects import Part

FULL_EVERY: Final = 64

_SUMS: Final = {SumAlgorithm.SHA256: "sums", SumAlgorithm.BLAKE3: "blake3"}
"""What a record calls the sums of chunks: a host that does not know the algorithm finds none, and does not go on."""


@dataclass(frozen=True, slots=True)
class SessionTail:
    """Bytes of the part that is being collected, put aside."""

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Lease:
    """That an append is running: whose it is (`by`, see `s3_uploads`), and until when to believe it."""

    by: str
    until: float


@dataclass(frozen=True, slots=True)
class Session:
    """Where a session stands after record `number`."""

    owner: Owner
    algorithm: str
    name: str  # of the data object
    at: float  # last touched
    number: int = 0
    offset: int = 0
    hash: bytes = b""
    sums: bytes = b""  # of its whole chunks
    summed_by: SumAlgorithm = NEWEST
    upload: str | None = None
    parts: tuple[Part, ...] = ()
    next_part: int = 1
    room: int | None = None  # bytes of each part but the last; None before the first append
    tails: tuple[SessionTail, ...] = ()
    lease: Lease | None = None
    ended: bool = False

    def encode(self, since: Session | None) -> bytes:
        """As the record `number`, which follows `since`."""
        if since is None or self.number % FULL_EVERY == 0:
            parts, sums = self.parts, self.sums
        else:
            parts, sums = self.parts[len(since.parts) :], self.sums[len(since.sums) :]
        return encode(
            {
                "repository": self.owner.repository,
                "subject": self.owner.subject,
                "algorithm": self.algorithm,
                "name": self.name,
                "at": self.at,
                "offset": self.offset,
                "hash": _text(self.hash),
                _SUMS[self.summed_by]: _text(sums),
                "upload": self.upload,
                "parts": [[part.number, part.etag] for part in parts],
                "next": self.next_part,
                "room": self.room,
                "tails": [[tail.key, tail.size] for tail in self.tails],
                "held": [self.lease.by, self.lease.until] if self.lease else None,
                "ended": self.ended or None,
            }
        )


def base_of(number: int) -> int:
    """The last record up to `number` that says everything."""
    return number - number % FULL_EVERY


def replay(since: Session | None, number: int, records: Sequence[bytes]) -> Session:
    """The session after `records`, of which the first has `number` and either follows `since` or says everything."""
    session = since
    for at, data in enumerate(records, number):
        try:
            step = _decode(decode(data, "an upload's record"), at)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreBroken(f"an upload's record in the bucket cannot be read: {error!r}") from error
        if at % FULL_EVERY and session is not None:
            step = replace(step, parts=session.parts + step.parts, sums=session.sums + step.sums)
        session = step
    if session is None:
        raise StoreBroken("an upload without records")
    return session


def _decode(document: dict[str, Any], number: int) -> Session:
    held = document.get("held")
    summed_by = next((algorithm for algorithm, key in _SUMS.items() if key in document), None)
    if summed_by is None:
        raise ValueError("it has no sums of chunks that are known here")
    if not summed_by.usable:
        raise ValueError(f"its chunks are summed by {summed_by.name}, which is not installed here")
    return Session(
        Owner(RepositoryName(document["repository"]), document["subject"]),
        document["algorithm"],
        document["name"],
        float(document["at"]),
        number,
        int(document["offset"]),
        base64.b64decode(document["hash"]),
        base64.b64decode(document[_SUMS[summed_by]]),
        summed_by,
        document.get("upload"),
        tuple(Part(int(part), str(etag)) for part, etag in document["parts"]),
        int(document["next"]),
        int(document["room"]) if "room" in document else None,
        tuple(SessionTail(str(key), int(size)) for key, size in document["tails"]),
        Lease(str(held[0]), float(held[1])) if held else None,
        bool(document.get("ended")),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
