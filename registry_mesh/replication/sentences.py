"""Sentences that say why a tag is not taken, or not yet: what, where, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from registry_mesh.oci.digest import Digest

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def when(at: float) -> str:
    """`2026-11-30 10:00 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def size(number: int) -> str:
    """`4.1 GiB`."""
    amount, unit = float(number), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{number} B"


def held_back(ref: str, digest: Digest | None, since: float, until: float, moves: int = 0) -> str:
    """Why a value waits for its age."""
    often = f"; it moved {moves} times in 14 d" if moves > 1 else ""
    return f"{ref} shows {digest or 'a value'} since {when(since)}: waits until {when(until)}{often}"


def pinned(ref: str, digest: Digest, pins: Iterable[Digest]) -> str:
    """Why a pinned tag is not taken."""
    return f"{ref} is {digest} there and pinned to {', '.join(map(str, pins))}: not taken"


def too_large(ref: str, found: int, most: int) -> str:
    """Why a large image is refused."""
    return f"{ref} has {size(found)}, and {size(most)} are allowed: not taken"


def nothing_for(wanted: Iterable[str], offered: Iterable[str]) -> str:
    """Why an index is not taken that has no image for the platforms that are wanted."""
    return f"nothing of it is for {', '.join(sorted(wanted))}; it has {', '.join(sorted(offered)) or 'none'}"


def fixed(ref: str, held: Digest | None, digest: Digest | None) -> str:
    """Why a moved source is refused."""
    return f"{ref} is fixed: it stays at {held}, and its source says {digest}"


def unsigned(
    name: str, tag: str, digest: Digest | None, by: Iterable[str], held: Digest | None, found: str = ""
) -> str:
    """Why an unsigned value is refused; `found` is what there is of signatures."""
    stays = f", {tag} stays at {held}" if held is not None else ""
    but = f" ({found})" if found else ""
    return f"{name} ({digest}) is not signed by {' or '.join(by)}{but}: not taken{stays}"


def conflict(to: str, writers: Iterable[tuple[str, str]]) -> str:
    """Why a target with several sources is not written; `writers` are rules and references."""
    said = " and ".join(f"{rule} ({ref})" for rule, ref in writers)
    return f"{to} would be written by {said} with different digests: rename one or give one priority: high"


def foreign(to: str) -> str:
    """Why a tag at another registry is left as it is."""
    return f"{to} was put there by somebody else: not overwritten"


def guarded(deletes: int, tags: int, registry: str, guard: float, plan: str) -> str:
    """Why nothing is deleted."""
    share = _share(deletes / max(tags, 1))
    return (
        f"stopped: {deletes:,} of {tags:,} tags of {registry} ({share}) would go, the guard is "
        f"{_share(guard)}; nothing was deleted. `rules approve {plan}` if that is meant"
    )


def empty(place: str, registry: str, before: int) -> str:
    """Why an empty listing deletes nothing."""
    return f"{registry} lists no tags for {place} and listed {before:,} before: not taken as deletions"


def _share(of: float) -> str:
    return f"{of * 100:.3g} %"
