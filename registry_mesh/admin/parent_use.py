"""What each parent of a registry is to it: one word for operators, metrics and alerts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from registry_mesh.admin.status import ParentStatus

Groups = Sequence[Sequence[ParentStatus]]


def with_use(groups: Groups) -> list[list[ParentStatus]]:
    """The parents of a registry, each with its `use`. In use are those of the first group that has any to ask; a slow
    one is left out only where another is asked instead."""
    helps = any(_is_well(parent) and not _is_slow(parent) for group in groups for parent in group)
    found, taken = [], False
    for group in groups:
        uses = [_use(parent, helps) for parent in group]
        if not taken and "in_use" in uses:
            taken = True
        else:
            uses = ["standing_by" if use == "in_use" else use for use in uses]
        found.append([replace(parent, use=use) for parent, use in zip(group, uses, strict=True)])
    return found


def _use(parent: ParentStatus, helps: bool) -> str:
    """Its own word, whatever stands before it."""
    if parent.state == "throttled":
        return "waiting"
    if parent.state in ("down", "silent"):
        return "silent"
    if parent.denied_since_seconds is not None or parent.no_registry or (_is_slow(parent) and helps):
        return "left_out"
    return "in_use" if parent.state == "up" else "standing_by"


def _is_well(parent: ParentStatus) -> bool:
    return (
        parent.state in ("up", "unasked") and parent.denied_since_seconds is None and not parent.no_registry
    )


def _is_slow(parent: ParentStatus) -> bool:
    return (parent.slow_for_seconds or 0.0) > 0
