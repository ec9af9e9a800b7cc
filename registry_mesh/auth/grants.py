"""What a token is good for (distribution's token specification, "Requesting a Token" and "access" claim)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.auth.access import Action, Asked
from registry_mesh.oci.reference import RepositoryName, full_name

SCOPES_LIMIT: Final = 64
"""Scopes that one token may be asked for."""

_WORDS: Final[Mapping[str, frozenset[Action]]] = {
    "pull": frozenset({Action.PULL}),
    "push": frozenset({Action.PUSH, Action.CREATE, Action.TAG_UPDATE}),
    "delete": frozenset({Action.DELETE}),
    "*": frozenset({Action.PULL, Action.PUSH, Action.CREATE, Action.TAG_UPDATE, Action.DELETE}),
}
"""Words of a scope, and the actions that each stands for."""


@dataclass(frozen=True, slots=True)
class Scope:
    """`repository:NAME:pull,push`: a resource and the words that are asked for."""

    kind: str
    name: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Scope:
        """`ValueError` where it is not TYPE:NAME:ACTION[,ACTION]."""
        kind, colon, rest = text.partition(":")
        name, other, words = rest.rpartition(":")
        if not (kind and colon and name and other and len(text) <= 1024 and text.isprintable()):
            raise ValueError("a scope is repository:NAME:ACTION[,ACTION]")
        return cls(kind, name, tuple(dict.fromkeys(word for word in words.split(",") if word)))


def parse_scopes(lines: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes of a request for a token: each parameter has one, or several with spaces between. `ValueError`."""
    texts = [text for line in lines for text in line.split()]
    if len(texts) > SCOPES_LIMIT:
        raise ValueError(f"more than {SCOPES_LIMIT} scopes")
    return tuple(Scope.parse(text) for text in texts)


def actions_of(word: str) -> frozenset[Action]:
    """The actions that a scope's word stands for; none for a word of others."""
    return _WORDS.get(word, frozenset())


@dataclass(frozen=True, slots=True)
class Grants:
    """The `access` claim of a token: by repository, as it was asked for, the actions that it was given for; `lists`:
    it was given for the listing of repositories, too (`registry:catalog:*`)."""

    by_name: Mapping[str, frozenset[Action]]
    lists: bool = False

    @classmethod
    def read(cls, claim: object) -> Grants:
        """Those of a claim as it came; entries that are no such thing grant nothing."""
        by_name: dict[str, frozenset[Action]] = {}
        lists = False
        for entry in claim if isinstance(claim, list) else ():
            if not isinstance(entry, dict):
                continue
            name, words = entry.get("name"), entry.get("actions")
            if entry.get("type") == "registry":
                lists = lists or (name == "catalog" and isinstance(words, list) and "*" in words)
            if entry.get("type") != "repository":
                continue
            if isinstance(name, str) and isinstance(words, list):
                actions = frozenset(a for word in words if isinstance(word, str) for a in actions_of(word))
                by_name[name] = by_name.get(name, frozenset()) | actions
        return cls(by_name, lists)

    def cover(self, asked: Asked) -> bool:
        """Whether the token was given for that. What belongs to no repository needs no grant, but the listing does."""
        if asked.listed and self.lists:
            return True
        if not asked.repository:
            return not asked.listed
        name = asked.repository
        spellings = {name, name.removeprefix("library/")} if "/" in name else {name}
        return any(
            asked.action in self.by_name.get(each, ())
            for spelling in spellings
            if full_name(asked.registry, RepositoryName(spelling)) == name
            for each in (spelling, f"{asked.registry}/{spelling}")
        )


def claim(granted: Sequence[Scope]) -> list[dict[str, Any]]:
    """The `access` claim that states what was granted."""
    return [{"type": each.kind, "name": each.name, "actions": list(each.words)} for each in granted]
