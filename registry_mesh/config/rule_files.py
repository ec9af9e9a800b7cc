"""Rule files: YAML to `replication.rules`, or every fault of every file at once.

schema: registry-mesh/rules/1
sets:                                     # named lists of patterns, used as "@name"
  experiments: ["atlas/**", "cms/{prod,stage}/*", "!**/scratch/**"]
rules:
  - name: releases
    from: registry.cern.example           # one of the configured registries
    repos: "@experiments"
    tags: ["semver: >=21 <25", latest, "re: rc-[0-9]{1,3}", "!*-debug"]
    platforms: [linux/amd64, linux/arm64]  # all where absent
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError

from registry_mesh.config.document import Document, mapping, read_document
from registry_mesh.config.files import read_file, unreadable
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.finding import Path as Place
from registry_mesh.config.model_errors import report_model_errors
from registry_mesh.config.schema import RegistryHost, Section, Text
from registry_mesh.oci.reference import DOCKER_HUB, RegistryName, parse_registry
from registry_mesh.oci.refusals import NameUnknown
from registry_mesh.replication.pattern import Pattern, PatternFault, Subject
from registry_mesh.replication.platform_names import doubt
from registry_mesh.replication.rules import Platform, Platforms, Rule, Rules, Selection
from registry_mesh.tasks.threads import offload

SCHEMA: Final = "registry-mesh/rules/1"
SUFFIXES: Final = (".yaml", ".yml")


def _listed(value: object) -> object:
    """One text stands for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


Texts = Annotated[tuple[Text, ...], BeforeValidator(_listed), Field(min_length=1)]


class RuleEntry(Section):
    """One rule as it is written."""

    name: Text
    """Unique among all files; shown by `rules explain`."""
    from_: RegistryHost = Field(alias="from")
    """The registry to take from."""
    repos: Texts
    """Patterns of repository names, or `@set`."""
    tags: Texts
    """Patterns of tags, or `@set`."""
    platforms: Texts | None = None
    """`os/architecture[/variant]` wanted of an index; all where absent."""


class RuleFile(Section):
    """A rule file as it is written."""

    schema_: Literal["registry-mesh/rules/1"] = Field(alias="schema")
    sets: dict[Text, Texts] = Field(default_factory=dict)
    rules: Annotated[tuple[RuleEntry, ...], BeforeValidator(_listed)]


def load_rules(
    paths: Iterable[str | Path], registries: Sequence[str] | None = None, *, known_platforms: bool = False
) -> Rules:
    """The rules of all files. `registries`, where given, are those that a rule may name. `known_platforms`: a platform
    that nobody builds for is a fault too (one of tomorrow is none of those).

    `ConfigInvalid` lists every fault of every file.
    """
    return parse_rules([(path, _read(path)) for path in paths], registries, known_platforms=known_platforms)


async def reload_rules(directory: str | Path, registries: Sequence[str]) -> Rules:
    """The rules of all files of a directory, for a loop that serves meanwhile. `ConfigInvalid`."""
    files: list[tuple[str | Path, bytes | ConfigInvalid]] = []
    for path in await offload(rule_paths, directory):
        try:
            files.append((path, await read_file(path)))
        except ConfigInvalid as invalid:
            files.append((path, invalid))
    return await offload(parse_rules, files, registries)


def _read(path: str | Path) -> bytes | ConfigInvalid:
    try:
        return Path(path).read_bytes()
    except OSError as fault:
        return unreadable(path, fault)


def parse_rules(
    files: Iterable[tuple[str | Path, bytes | ConfigInvalid]],
    registries: Sequence[str] | None = None,
    *,
    known_platforms: bool = False,
) -> Rules:
    """The rules that the contents of files spell, or why they could not be read; as `load_rules`."""
    findings: list[Finding] = []
    rules: list[Rule] = []
    names: dict[str, str] = {}
    for path, content in files:
        try:
            if isinstance(content, ConfigInvalid):
                raise content
            document = read_document(content, str(path))
        except ConfigInvalid as invalid:
            findings += invalid.findings
            continue
        rules += _Reader(document, registries, names, known_platforms).rules()
        findings += document.findings
    if findings:
        raise ConfigInvalid(findings)
    return Rules(tuple(rules))


def rule_paths(directory: str | Path) -> list[Path]:
    """The rule files of a directory, sorted by name; `ConfigInvalid` where it cannot be read or has none."""
    place = Path(directory)
    try:
        paths = sorted(
            path for path in place.iterdir() if path.suffix in SUFFIXES and not path.name.startswith(".")
        )
    except OSError as fault:
        raise unreadable(place, fault) from None
    if not paths:
        raise ConfigInvalid(
            [Finding(str(place), Mark(1, 1), (), "no rule files", "add one that ends in .yaml")]
        )
    return paths


class _Reader:
    """One document; what is wrong goes to its findings."""

    def __init__(
        self,
        document: Document,
        registries: Sequence[str] | None,
        names: dict[str, str],
        known_platforms: bool,
    ) -> None:
        self._document = document
        self._known_platforms = known_platforms
        self._registries = registries
        self._names = names
        self._sets = mapping(document.find("sets"))

    def rules(self) -> list[Rule]:
        if not isinstance(self._document.value, dict):
            self._document.report((), "a rule file is a mapping", f"begin with schema: {SCHEMA}")
            return []
        try:
            RuleFile.model_validate(self._document.value)
        except ValidationError as invalid:
            report_model_errors(self._document, RuleFile, invalid)
        entries = self._document.find("rules")
        listed = entries if isinstance(entries, list) else []
        rules = [self._rule(("rules", i)) for i in range(len(listed))]
        self._unused_sets(listed)
        return [rule for rule in rules if rule is not None]

    def _rule(self, at: Place) -> Rule | None:
        """The rule, where enough of it is right. What the model found wrong is not said twice."""
        name, registry = self._document.find(*at, "name"), self._document.find(*at, "from")
        self._check_name(at, name)
        self._check_registry(at, registry)
        repositories = self._selection((*at, "repos"), Subject.REPOSITORY)
        tags = self._selection((*at, "tags"), Subject.TAG)
        platforms = self._platforms((*at, "platforms"))
        if not isinstance(name, str) or not isinstance(registry, str) or repositories is None or tags is None:
            return None
        known = _canonical(registry)
        if known == DOCKER_HUB:  # where `alpine` is short for library/alpine
            repositories = Selection(tuple(each.below("library") for each in repositories.patterns))
        return Rule(name, RegistryName(known), repositories, tags, platforms)

    def _check_name(self, at: Place, name: object) -> None:
        if not isinstance(name, str) or not name:
            return
        mark = self._document.mark((*at, "name"))
        first = self._names.setdefault(name, f"{self._document.file}:{mark.line}")
        if first != f"{self._document.file}:{mark.line}":
            self._document.report(
                (*at, "name"), f"{name} is the name of another rule: {first}", "choose another"
            )

    def _check_registry(self, at: Place, registry: object) -> None:
        if (
            self._registries is None
            or not isinstance(registry, str)
            or _canonical(registry) in self._registries
        ):
            return
        known = ", ".join(sorted(self._registries)) or "none"
        near = difflib.get_close_matches(registry.lower(), self._registries, 1, 0.6)
        how = f"did you mean {near[0]}?" if near else f"configured are: {known}"
        self._document.report((*at, "from"), f"{registry} is no configured registry", how)

    def _selection(self, at: Place, subject: Subject) -> Selection | None:
        written = self._document.find(*at)
        texts = [written] if isinstance(written, str) else written if isinstance(written, list) else []
        patterns: list[Pattern] = []
        before = len(self._document.findings)
        for i, text in enumerate(texts):
            place = (*at, i) if isinstance(written, list) else at
            if isinstance(text, str):
                patterns += self._patterns(place, text, subject)
        if not patterns or len(self._document.findings) > before:
            return None
        if all(pattern.negative for pattern in patterns):
            self._document.report(
                at, "only excludes, so it selects nothing", 'add what to take, such as "**"'
            )
            return None
        return Selection(tuple(patterns))

    def _patterns(self, at: Place, text: str, subject: Subject) -> list[Pattern]:
        """One pattern, or those of the set that `text` names."""
        if text.startswith("!@"):
            self._document.report(
                at, f"{text}: a set cannot be excluded", "put the ! before patterns in the set"
            )
            return []
        if not text.startswith("@"):
            return self._pattern(at, text, subject)
        members = self._sets.get(text[1:])
        if members is None:
            near = difflib.get_close_matches(text[1:], list(map(str, self._sets)), 1, 0.6)
            how = f"did you mean @{near[0]}?" if near else "add it under sets:"
            self._document.report(at, f"{text} is no set of this file", how)
            return []
        inside: Place = ("sets", text[1:])
        if isinstance(members, str):
            return self._member(inside, members, subject)
        listed = members if isinstance(members, list) else []
        return [p for i, each in enumerate(listed) for p in self._member((*inside, i), each, subject)]

    def _member(self, at: Place, text: object, subject: Subject) -> list[Pattern]:
        if isinstance(text, str) and text.lstrip("!").startswith("@"):
            self._report_once(at, f"{text}: a set holds patterns, not sets", "")
            return []
        return self._pattern(at, text, subject) if isinstance(text, str) else []

    def _pattern(self, at: Place, text: str, subject: Subject) -> list[Pattern]:
        try:
            return [Pattern.parse(text, subject)]
        except PatternFault as fault:
            self._report_once(at, str(fault), "")
            return []

    def _report_once(self, at: Place, what: str, how: str) -> None:
        """A set may be used by several rules; its faults are told once."""
        if not any(found.path == at and found.what == what for found in self._document.findings):
            self._document.report(at, what, how)

    def _platforms(self, at: Place) -> Platforms:
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
            how = doubt(platform) if self._known_platforms else None
            if how is not None:
                self._document.report(place, f"{platform} is no platform that is known", how)
        return frozenset(found)

    def _unused_sets(self, entries: Sequence[object]) -> None:
        used = {
            text
            for entry in map(mapping, entries)
            for dimension in ("repos", "tags")
            for text in _texts(entry, dimension)
        }
        for name in self._sets:
            if f"@{name}" not in used:
                self._document.report(
                    ("sets", name), "no rule uses this set", "use it or take it out", key=True
                )


def _canonical(registry: object) -> str:
    """A registry's one name; what names none as it is."""
    try:
        return parse_registry(str(registry))
    except NameUnknown:
        return str(registry)


def _texts(entry: Mapping[str, object], dimension: str) -> list[str]:
    value = entry.get(dimension)
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)]
