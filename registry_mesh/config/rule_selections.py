"""Patterns, sets and platforms as rule files of both editions write them, to values; faults go to the documents."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path as Place
from registry_mesh.config.rule_values import host_of, texts
from registry_mesh.oci.reference import DOCKER_HUB
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.platform_names import doubt
from registry_mesh.replication.rules import Platform, Platforms, Selection
from registry_mesh.replication.subject import Subject


@dataclass(slots=True)
class Sets:
    """Named lists of patterns, where they stand, and which of them are used."""

    document_of: dict[str, Document] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    scope: str = "folder"

    def take(self, document: Document) -> None:
        """Those of a file; a name that another file has is a fault."""
        for name in mapping(document.find("sets")):
            first = self.document_of.setdefault(name, document)
            if first is not document:
                place = f"{first.file}:{first.mark(('sets', name), key=True).line}"
                document.report(
                    ("sets", name), f"{name} is the name of another set: {place}", "choose another", key=True
                )

    def report_unused(self) -> None:
        """A fault at every set that no rule uses."""
        for name, document in self.document_of.items():
            if name not in self.used:
                document.report(("sets", name), "no rule uses this set", "use it or take it out", key=True)


@dataclass(frozen=True, slots=True)
class Common:
    """What all files of a folder share while they are read."""

    registries: Sequence[str] | None
    names: dict[str, str] = field(default_factory=dict)
    """Of rules, and where each stands."""
    known_platforms: bool = False


class Selections:
    """Reads selections of one document."""

    def __init__(self, document: Document, common: Common, sets: Sets, edition: int) -> None:
        self._document = document
        self._common = common
        self._sets = sets
        self._edition = edition

    def selection(self, at: Place, subject: Subject, *, only_excludes: bool = False) -> Selection | None:
        """The patterns at `at`; None where one of them is wrong, which is told."""
        written = self._document.find(*at)
        listed = [written] if isinstance(written, str) else written if isinstance(written, list) else []
        patterns: list[Pattern] = []
        whole = True
        for i, text in enumerate(listed):
            place = (*at, i) if isinstance(written, list) else at
            found = self._patterns(place, text, subject) if isinstance(text, str) else None
            whole = whole and found is not None
            patterns += found or []
        if not patterns or not whole:
            return None
        if all(pattern.negative for pattern in patterns) and not only_excludes:
            self._document.report(
                at,
                "only excludes, so it selects nothing",
                f'add what to take, such as "{"*" if subject is Subject.TAG else "**"}"',
            )
            return None
        return Selection(tuple(patterns))

    def repositories(self, at: Place, registry: str | None) -> Selection | None:
        """Names of repositories; of Docker Hub `alpine` is short for library/alpine."""
        found = self.selection(at, Subject.REPOSITORY)
        if found is not None and registry == DOCKER_HUB:
            return Selection(tuple(each.below("library") for each in found.patterns))
        return found

    def platforms(self, at: Place) -> Platforms:
        """None is all of them."""
        written = self._document.find(*at)
        if not isinstance(written, str | list):
            return None
        found: set[Platform] = set()
        for i, text in enumerate([written] if isinstance(written, str) else written):
            if not isinstance(text, str):
                continue
            place = (*at, i) if isinstance(written, list) else at
            try:
                platform = Platform.parse(text)
            except ValueError as fault:
                self._document.report(place, str(fault))
                continue
            found.add(platform)
            how = doubt(platform) if self._common.known_platforms else None
            if how is not None:
                self._document.report(place, f"{platform} is no platform that is known", how)
        return frozenset(found)

    def check_registry(self, at: Place, registry: object) -> None:
        """A fault where the node does not know it."""
        known = self._common.registries
        if known is None or not isinstance(registry, str) or host_of(registry) in known:
            return
        near = difflib.get_close_matches(registry.lower(), known, 1, 0.6)
        how = f"did you mean {near[0]}?" if near else f"configured are: {', '.join(sorted(known)) or 'none'}"
        self._document.report(at, f"{registry} is no configured registry", how)

    def check_name(self, at: Place, name: str, how: str = "choose another") -> None:
        """A fault where another rule has the name."""
        here = f"{self._document.file}:{self._document.mark(at).line}"
        first = self._common.names.setdefault(name, here)
        if first != here:
            self._document.report(at, f"{name} is the name of another rule: {first}", how)

    def _patterns(self, at: Place, text: str, subject: Subject) -> list[Pattern] | None:
        """One pattern, or those of the set that `text` names; None where one is wrong."""
        if text.startswith("!@"):
            self._document.report(
                at, f"{text}: a set cannot be excluded", "put the ! before patterns in the set"
            )
            return None
        if not text.startswith("@") or (subject is Subject.TAG and ":" in text):  # `@sha256:…` is a pin
            return self._pattern(self._document, at, text, subject)
        name = text[1:]
        document = self._sets.document_of.get(name)
        if document is None:
            near = difflib.get_close_matches(name, list(self._sets.document_of), 1, 0.6)
            how = f"did you mean @{near[0]}?" if near else "add it under sets:"
            self._document.report(at, f"{text} is no set of this {self._sets.scope}", how)
            return None
        self._sets.used.add(name)
        members = document.find("sets", name)
        places: list[Place] = [("sets", name)]
        if isinstance(members, list):
            places = [("sets", name, i) for i in range(len(members))]
        several = [self._member(document, place, subject) for place in places]
        if any(each is None for each in several):
            return None
        return [replace(p, of=name) for each in several for p in each or ()]

    def _member(self, document: Document, at: Place, subject: Subject) -> list[Pattern] | None:
        text = document.find(*at)
        if not isinstance(text, str):
            return None
        if text.lstrip("!").startswith("@") and ":" not in text:
            _report_once(document, at, f"{text}: a set holds patterns, not sets")
            return None
        return self._pattern(document, at, text, subject)

    def _pattern(self, document: Document, at: Place, text: str, subject: Subject) -> list[Pattern] | None:
        try:
            return [Pattern.parse(text, subject, self._edition)]
        except PatternFault as fault:
            _report_once(document, at, str(fault))
            return None


def used_sets(entries: Sequence[object], keys: Sequence[str]) -> set[str]:
    """The names of sets in entries, whether the entries are right or not."""
    found = (text for entry in entries for key in keys for text in _texts(mapping(entry), key))
    return {text[1:] for text in found if text.startswith("@")}


def _texts(entry: Mapping[str, object], key: str) -> tuple[str, ...]:
    return texts(entry.get(key))


def _report_once(document: Document, at: Place, what: str) -> None:
    """A set may be used by several rules; its faults are told once."""
    if not any(found.path == at and found.what == what for found in document.findings):
        document.report(at, what)
