"""Rule files: YAML to `replication.rules`, or every fault of every file at once.

schema: registry-mesh/rules/2
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

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from registry_mesh.config.document import Document, read_document
from registry_mesh.config.files import content_of, read_file, unreadable
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.rule_entries import FIRST
from registry_mesh.config.rule_selections import Common
from registry_mesh.config.rules_first import read_first
from registry_mesh.config.rules_second import read_second
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.terms import Data
from registry_mesh.tasks.threads import offload

SUFFIXES: Final = (".yaml", ".yml")


def load_rules(
    paths: Iterable[str | Path], registries: Sequence[str] | None = None, *, known_platforms: bool = False
) -> Rules:
    """The rules of all files. `registries`, where given, are those that a rule may name. `known_platforms`: a platform
    that nobody builds for is a fault too (one of tomorrow is none of those).

    `ConfigInvalid` lists every fault of every file.
    """
    return parse_rules(contents(paths), registries, known_platforms=known_platforms)


RuleTexts = Sequence[tuple[str | Path, bytes | ConfigInvalid]]
"""Files and their contents, or why one could not be read."""


def contents(paths: Iterable[str | Path]) -> RuleTexts:
    """What stands in the files, for `parse_rules`; each is read once, so that it may be a pipe."""
    return [(path, _read(path)) for path in paths]


async def read_rule_files(directory: str | Path) -> RuleTexts:
    """All files of a directory, for a loop that serves meanwhile. `ConfigInvalid` where it has none."""
    files: list[tuple[str | Path, bytes | ConfigInvalid]] = []
    for path in await offload(rule_paths, directory):
        try:
            files.append((path, await read_file(path)))
        except ConfigInvalid as invalid:
            files.append((path, invalid))
    return files


def refuse_unknown_keys(rules: Rules, keys: Collection[str]) -> None:
    """`ConfigInvalid` where a rule believes a signer that the configuration does not name."""
    findings = []
    for rule in rules:
        for name in rule.verify.by if rule.verify is not None else ():
            if name not in keys:
                known = f"one of {', '.join(sorted(keys))}" if keys else "none is there"
                what = f"rule {rule.name}: {name} is no key of the configuration"
                findings.append(
                    _finding(rule.place, what, f"add keys.{name} to it, or name another ({known})")
                )
    if findings:
        raise ConfigInvalid(findings)


def refuse_outward(rules: Rules, pushed: Collection[str]) -> None:
    """`ConfigInvalid` where a rule pushes to what is none of `pushed`, or pushes manifests without their blobs."""
    findings = []
    for rule in rules:
        out = sorted({str(target.registry) for target in rule.to if target.registry is not None})
        for registry in (each for each in out if each not in pushed):
            what = f"rule {rule.name}: this node does not push to {registry}"
            how = f"say registries.{registry}.push: true in its configuration, with the address in parents"
            findings.append(_finding(rule.place, what, how))
        if out and rule.data is not Data.FULL:
            what = f"rule {rule.name}: data: {rule.data.value} beside a registry that is pushed to"
            findings.append(_finding(rule.place, what, "registries take manifests with their blobs alone"))
    if findings:
        raise ConfigInvalid(findings)


def refuse_on_demand(rules: Rules) -> None:
    """`ConfigInvalid` where a rule leaves blobs to be fetched when they are read."""
    what = "this node fetches nothing when it is read, which data: on-demand needs"
    how = "say replication.fallthrough: pull-through in its configuration, or data: full"
    late = [rule for rule in rules if rule.data is Data.ON_DEMAND]
    if late:
        raise ConfigInvalid([_finding(rule.place, f"rule {rule.name}: {what}", how) for rule in late])


def refuse_shares(rules: Rules) -> None:
    """`ConfigInvalid` where a rule takes a share of what nobody granted."""
    lacking = [rule for rule in rules if any(each.share is not None for each in rule.budget)]
    if lacking:
        what, how = (
            "its budget is a share, and the node grants no rate",
            "say replication.rate: 500MiB/s there",
        )
        raise ConfigInvalid([_finding(rule.place, f"rule {rule.name}: {what}", how) for rule in lacking])


def _finding(place: str, what: str, how: str) -> Finding:
    """At `FILE:LINE:COLUMN`."""
    file, line, column = place.rsplit(":", 2)
    return Finding(file, Mark(int(line), int(column)), (), what, how)


def refuse_unheeded(rules: Rules, heeded: Collection[str], reasons: Mapping[str, str] | None = None) -> None:
    """`ConfigInvalid` where a rule says what the node would not do: a rule is obeyed whole, or not at all. `reasons`:
    by key why it would not."""
    said = [(rule.place, f"rule {rule.name}", key) for rule in rules for key in rule.said]
    said += [(each.place, "a denial", "deny") for each in rules.deny]
    findings = []
    for place, who, key in said:
        if key not in heeded:
            why = (reasons or {}).get(key)
            what = f"{who}: {why}: it does not do {key}" if why else f"{who}: this node does not do {key} yet"
            findings.append(_finding(place, what, "take it out"))
    if findings:
        raise ConfigInvalid(findings)


def _read(path: str | Path) -> bytes | ConfigInvalid:
    try:
        return content_of(path)
    except ConfigInvalid as invalid:
        return invalid


def parse_rules(
    files: Iterable[tuple[str | Path, bytes | ConfigInvalid]],
    registries: Sequence[str] | None = None,
    *,
    known_platforms: bool = False,
) -> Rules:
    """The rules that the contents of files spell, or why they could not be read; as `load_rules`."""
    findings: list[Finding] = []
    documents: list[Document] = []
    for path, content in files:
        try:
            if isinstance(content, ConfigInvalid):
                raise content
            documents.append(read_document(content, str(path)))
        except ConfigInvalid as invalid:
            findings += invalid.findings
    common = Common(registries, known_platforms=known_platforms)
    first = [document for document in documents if document.find("schema") == FIRST]
    rules = [rule for document in first for rule in read_first(document, common)]
    second = read_second([document for document in documents if document not in first], common)
    findings += [finding for document in documents for finding in document.findings]
    if findings:
        raise ConfigInvalid(findings)
    return replace(second, rules=(*rules, *second.rules))


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
