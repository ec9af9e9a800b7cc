"""What an importer makes of one entry, and the file that is written of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from registry_mesh.config.finding import ConfigInvalid
from registry_mesh.config.rule_entries import SECOND
from registry_mesh.config.rule_files import parse_rules
from registry_mesh.replication.rules import Rule

Matches = Callable[[str], bool]


class NotCarried(ValueError):
    """An entry cannot be said as a rule; the message is the sentence."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of another tool's file: `keys` of a rule, or why there is none."""

    where: str
    """The entry as a person finds it."""
    keys: Mapping[str, Any] = field(default_factory=dict)  # Any: YAML values
    refused: str = ""
    notes: tuple[str, ...] = ()
    selects: Matches | None = None
    """The tool's own way of matching tags, where it is a pattern."""


@dataclass(frozen=True, slots=True)
class Imported:
    """An entry with the rule that it became."""

    entry: Entry
    rule: Rule | None = None
    text: str = ""
    """The rule as it is written."""


_ORDER: Final = ("name", "from", "repos", "tags")


def with_rules(entries: Iterable[Entry]) -> list[Imported]:
    """Each entry with its rule. A rule that is none of our language is refused, with its fault; so is a doubled one."""
    names: dict[str, int] = {}
    seen: dict[str, str] = {}
    found = []
    for entry in entries:
        told = json.dumps(dict(entry.keys), sort_keys=True)
        if entry.refused:
            found.append(Imported(entry))
        elif told in seen:
            found.append(Imported(Entry(entry.where, refused=f"said twice: {seen[told]} says the same")))
        else:
            seen[told] = entry.where
            found.append(_with_rule(entry, names))
    return found


def _with_rule(entry: Entry, names: dict[str, int]) -> Imported:
    repos = entry.keys.get("repos")
    plain = repos if isinstance(repos, str) else ", ".join(repos or ())
    name = str(entry.keys.get("name") or plain)
    names[name] = names.get(name, 0) + 1
    keys = {**entry.keys, "name": name if names[name] == 1 else f"{name} {names[name]}"}
    text = _flow({key: keys[key] for key in (*_ORDER, *(each for each in keys if each not in _ORDER))})
    try:
        rules = parse_rules([("imported", f"schema: {SECOND}\nrules:\n  - {text}\n".encode())])
    except ConfigInvalid as invalid:
        names[name] -= 1
        why = "; ".join(dict.fromkeys(fault.what for fault in invalid.findings))
        return Imported(Entry(entry.where, refused=why))
    return Imported(entry, next(iter(rules)), text)


def _flow(value: object) -> str:
    """YAML on one line; every text in quotes but plain words."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str() if value.isalpha() and value.lower() not in ("null", "true", "false"):
            return value
    return json.dumps(value, ensure_ascii=False)


def written(imported: Iterable[Imported]) -> Iterator[str]:
    """The lines of a rule file, refusals and notes as comments at their place."""
    yield f"schema: {SECOND}"
    imported = list(imported)
    yield "rules:" if any(each.rule for each in imported) else "rules: []"
    for each in imported:
        for note in each.entry.notes:
            yield f"  # {_one_line(note)}"
        if each.rule is None:
            yield f"  # refused: {_one_line(each.entry.where)}: {_one_line(each.entry.refused)}"
        else:
            yield f"  - {each.text}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def differences(imported: Iterable[Imported], tags: Iterable[str]) -> Iterator[str]:
    """Where the tool's own way of matching and ours select differently, over `tags`."""
    tags = list(tags)
    for each in imported:
        own = each.entry.selects
        if own is None or each.rule is None:
            continue
        theirs, ours = {t for t in tags if own(t)}, {t for t in tags if t in each.rule.tags}
        for tag in sorted(theirs ^ ours):
            side = "only the tool takes" if tag in theirs else "only the rule takes"
            yield f"{each.rule.name}: {side} {tag}"
