"""What changed between two books of access, in words for whoever reads the audit log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from registry_mesh.auth.book import Book
from registry_mesh.auth.policies import Entry
from registry_mesh.auth.revoked import mark


def changes(old: Book, new: Book) -> list[str]:
    """Each user, robot, issuer, group and policy that came, went or is another now. No secret is in it."""
    return [
        *_named("user", old.hashes, new.hashes, "got a new password"),
        *_named("robot", old.robots, new.robots, "got a new secret or end"),
        *_named("issuer", _issuers(old), _issuers(new), "is another"),
        *_named("group", old.policies.groups, new.policies.groups, "has other members"),
        *_named("policy", _entries(old), _entries(new), "says something else"),
    ]


def revoked_above(book: Book, marks: Collection[str]) -> list[str]:
    """The users and robots of the book whose credentials were taken away where the files come from."""
    users = [f"user {name}" for name, kept in book.hashes.items() if mark(kept, name) in marks]
    return users + [f"robot {name}" for name, robot in book.robots.items() if mark(robot.secret) in marks]


def _named(kind: str, old: Mapping[str, object], new: Mapping[str, object], changed: str) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"{kind} {name} came"
        elif name not in new:
            yield f"{kind} {name} went"
        elif old[name] != new[name]:
            yield f"{kind} {name} {changed}"


def _issuers(book: Book) -> dict[str, str]:
    """By name, what they say of themselves: their keys are theirs to change."""
    return {each.name: said for said, each in book.issuers.items()}


def _entries(book: Book) -> dict[str, tuple[object, ...]]:
    """What each policy says, by its name; two of one name are told apart by their order."""
    found: dict[str, list[Entry]] = {}
    for entry in book.policies.entries:
        found.setdefault(entry.name, []).append(entry)
    return {name: tuple(map(_said, entries)) for name, entries in found.items()}


def _said(entry: Entry) -> object:
    return entry.subjects, entry.repositories, entry.registries, entry.allow, entry.deny
