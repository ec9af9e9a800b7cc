"""What changed between two books, as the audit log says it."""

from __future__ import annotations

from dataclasses import replace

from registry_mesh.auth.access import PULLING, PUSHING
from registry_mesh.auth.book import Book
from registry_mesh.auth.changes import changes
from registry_mesh.auth.policies import Entry, Policies
from registry_mesh.auth.robots import Robot

PULLS = Entry("pulls", frozenset({"everybody"}), allow=PULLING, where="a.yaml:3")
OLD = Book(
    Policies((PULLS,), {"atlas": frozenset({"alice"})}),
    {"alice": "hash-one", "bob": "hash-two"},
    {"ci": Robot("ci", "sha256:a", 1.0)},
)


def test_nothing_changed() -> None:
    moved = replace(OLD, policies=replace(OLD.policies, entries=(replace(PULLS, where="b.yaml:9"),)))
    assert changes(OLD, OLD) == changes(OLD, moved) == []


def test_each_change_is_told_and_no_secret_is() -> None:
    new = Book(
        Policies(
            (replace(PULLS, allow=PUSHING), PULLS), {"atlas": frozenset({"alice", "eve"}), "cms": frozenset()}
        ),
        {"alice": "hash-three", "carl": "hash-four"},
        {"ci": Robot("ci", "sha256:b", 1.0), "new": Robot("new", "sha256:c", 1.0)},
    )
    assert changes(OLD, new) == [
        "user alice got a new password",
        "user bob went",
        "user carl came",
        "robot ci got a new secret or end",
        "robot new came",
        "group atlas has other members",
        "group cms came",
        "policy pulls says something else",
    ]
    assert not any(secret in " ".join(changes(OLD, new)) for secret in ("hash", "sha256"))
