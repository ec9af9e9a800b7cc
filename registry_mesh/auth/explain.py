"""Why a subject may or may not: what each policy says to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry_mesh.auth.access import Asked
from registry_mesh.auth.identity import Identity
from registry_mesh.auth.policies import Entry, Policies


@dataclass(frozen=True, slots=True)
class Word:
    """What one policy says: `allows`, `denies`, or why it says nothing."""

    entry: Entry
    says: str
    speaks: bool


def explain(policies: Policies, identity: Identity, asked: Asked) -> Iterator[Word]:
    """A word of each policy, in the order they stand."""
    subjects = policies.subjects(identity)
    for entry in policies.entries:
        if not entry.subjects & subjects:
            yield Word(entry, f"is about {', '.join(sorted(entry.subjects))}", False)
        elif entry.registries is not None and asked.registry not in entry.registries:
            yield Word(entry, f"is about {', '.join(sorted(entry.registries))}", False)
        elif not entry.covers(asked):
            yield Word(entry, "is about other repositories", False)
        elif asked.action in entry.deny:
            yield Word(entry, "denies it", True)
        elif asked.action not in entry.allow:
            yield Word(entry, f"says nothing about {asked.action.value}", False)
        elif not policies.may_allow(entry, asked):
            private = f"{asked.registry} is fetched with credentials of the node, and has to be named"
            yield Word(entry, private, False)
        else:
            yield Word(entry, "allows it", True)
