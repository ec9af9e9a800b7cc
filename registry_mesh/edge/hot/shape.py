"""The parts of an answer that are the same each time."""

from __future__ import annotations

from dataclasses import dataclass

from registry_mesh.edge.hot.callers import Right
from registry_mesh.edge.pulled import Fetched


@dataclass(frozen=True, slots=True)
class Shape:
    """The parts of an answer that are the same each time. `fields`: the head's lines up to Age or Content-Length;
    `tail`: those after X-Request-Id, with the empty line; `log`: the access log's line between client and status.
    `etag`: the entity tag, in quotes. `fetched`: how often it was given; None for HEAD."""

    right: Right
    method: str
    etag: bytes
    fields: bytes
    tail: bytes
    log: str
    fetched: Fetched | None = None
