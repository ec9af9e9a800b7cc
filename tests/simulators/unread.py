"""What lies in sockets between a link and its clients: sent, and not read. A client that is killed leaves it there; one
that stood still before left megabytes."""

from __future__ import annotations

from pathlib import Path

from tests.eventually import eventually
from tests.simulators.link import GULP, Link

LEAVING = 8 * GULP
"""Bytes that may leave after all: of each of so many bodies a part, which was on its way into its socket."""


async def stand_still(link: Link) -> None:
    """Let nothing more through of any body, and return when clients have read what had left the link."""
    link.conditions.stall_after = 0
    await eventually(lambda: not unread(link), "clients to read what left the link")


def unread(link: Link) -> int:
    """Bytes that the kernel holds for clients of the link: not sent, or not read by them."""
    here = f"0100007F:{link.port:04X}"  # as proc(5) writes 127.0.0.1
    held = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues = line.split()[:5]
        sending, received = (int(each, 16) for each in queues.split(":"))
        held += sending * (local == here) + received * (remote == here)
    return held
