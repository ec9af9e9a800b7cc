"""What an importer makes of one entry, and the files that are written of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from registry_mesh.config.finding import ConfigInvalid, Mark
from registry_mesh.config.imports.fields import START, Fields, NotCarried
from registry_mesh.config.load import parse
from registry_mesh.config.rule_entries import SECOND
from registry_mesh.config.rule_files import parse_rules
from registry_mesh.replication.rules import Rule

Matches = Callable[[str], bool]
_REGISTRIES: Final = "role: site\nstore: {disk: {path: x}}\nregistries:\n"


_FILES: Final = ("ca", "certificate", "key")
"""Of another machine: not looked for here."""


class Kind(Enum):
    """What an entry is here."""

    RULE = "rule"
    DENY = "deny"
    PARENTS = "parents"
    """Not a rule: the keys of one registry in the configuration of a site or replica."""
    NOTE = "note"
    """No entry: what is said of the file as a whole."""


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
    mark: Mark = START
    kind: Kind = Kind.RULE
    registry: str = ""
    """Of parents: the registry that they are of."""


@dataclass(frozen=True, slots=True)
class Imported:
    """An entry with what it became."""

    entry: Entry
    rule: Rule | None = None
    text: str = ""
    """As it is written."""

    @property
    def refused(self) -> bool:
        """Whether nothing became of it."""
        return not self.text


def each_entry(fields: Fields, where: str, make: Callable[[], Iterable[Entry]]) -> Iterator[Entry]:
    """What `make` reads out of `fields`, with their place and notes; one refusal where it cannot be said, or where a
    key of theirs was not read."""
    try:
        found = list(make())
        fields.end()
    except NotCarried as fault:
        fields.spare()
        yield Entry(where, refused=str(fault), mark=fault.mark or fields.mark)
        return
    notes = fields.gathered()
    if notes and not found:
        yield Entry(where, notes=notes, mark=fields.mark, kind=Kind.NOTE)
    for number, entry in enumerate(found):
        mark = fields.mark if entry.mark == START else entry.mark
        yield replace(entry, mark=mark, notes=(*entry.notes, *(() if number else notes)))


_LONGEST: Final = 400
_ORDER: Final = ("name", "from", "repos", "tags")


def with_rules(entries: Iterable[Entry]) -> list[Imported]:
    """Each entry with its rule. A rule that is none of our language is refused, with its fault; so is a doubled one."""
    names: dict[str, int] = {}
    seen: dict[str, str] = {}
    found = []
    for entry in _with_notes(entries):
        told = json.dumps([entry.kind.value, entry.registry, dict(entry.keys)], sort_keys=True)
        if entry.refused:
            found.append(Imported(entry))
        elif told in seen:
            found.append(Imported(replace(entry, keys={}, refused=f"said twice: {seen[told]} says the same")))
        else:
            seen[told] = entry.where
            found.append(_as_it_is(entry, names))
    return found


def _with_notes(entries: Iterable[Entry]) -> list[Entry]:
    """The entries; what is said of the file as a whole stands at the first that is carried, and nothing twice."""
    whole: list[Entry] = []
    found: list[Entry] = []
    told: set[str] = set()
    for entry in entries:
        (whole if entry.kind is Kind.NOTE else found).append(entry)
    first = next((number for number, each in enumerate(found) if not each.refused), None)
    if first is not None:
        notes = tuple(note for each in whole for note in each.notes)
        found[first] = replace(found[first], notes=(*notes, *found[first].notes))
    for number, entry in enumerate(found):
        new = tuple(dict.fromkeys(each for each in entry.notes if entry.refused or each not in told))
        told |= set(new)
        found[number] = replace(entry, notes=new)
    return found


def _as_it_is(entry: Entry, names: dict[str, int]) -> Imported:
    if entry.kind is Kind.DENY:
        text = flow(entry.keys)
        return _checked(entry, text, f"rules: []\ndeny:\n  - {text}\n")
    if entry.kind is Kind.PARENTS:
        return _parents(entry)
    return _with_rule(entry, names)


def _checked(entry: Entry, text: str, lines: str) -> Imported:
    try:
        rules = parse_rules([("imported", f"schema: {SECOND}\n{lines}".encode())])
    except ConfigInvalid as invalid:
        why = "; ".join(dict.fromkeys(fault.what for fault in invalid.findings))
        return Imported(replace(entry, keys={}, refused=why))
    return Imported(entry, next(iter(rules), None), text)


def _parents(entry: Entry) -> Imported:
    text = f"{json.dumps(entry.registry)}: {flow(entry.keys)}"
    elsewhere = {key: value for key, value in entry.keys.items() if key not in _FILES}
    try:
        parse(f"{_REGISTRIES}  {json.dumps(entry.registry)}: {flow(elsewhere)}\n", "imported")
    except ConfigInvalid as invalid:
        why = "; ".join(dict.fromkeys(fault.what for fault in invalid.findings))
        return Imported(replace(entry, keys={}, refused=why))
    return Imported(entry, None, text)


def _with_rule(entry: Entry, names: dict[str, int]) -> Imported:
    repos = entry.keys.get("repos")
    plain = repos if isinstance(repos, str) else ", ".join(repos or ())
    name = str(entry.keys.get("name") or plain)
    names[name] = names.get(name, 0) + 1
    keys = {**entry.keys, "name": name if names[name] == 1 else f"{name} {names[name]}"}
    text = flow({key: keys[key] for key in (*_ORDER, *(each for each in keys if each not in _ORDER))})
    found = _checked(entry, text, f"rules:\n  - {text}\n")
    names[name] -= found.refused
    return found


def flow(value: object) -> str:
    """YAML on one line; every text in quotes but plain words."""
    match value:
        case Mapping():
            return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
        case str() if value.isascii() and value.isalpha() and value.lower() not in ("null", "true", "false"):
            return value
    return json.dumps(value, ensure_ascii=False)


def written(imported: Iterable[Imported], file: str = "") -> Iterator[str]:
    """The lines of a rule file, refusals and notes as comments at their place."""
    imported = list(imported)
    yield f"schema: {SECOND}"
    rules = [each for each in imported if each.refused or each.entry.kind is Kind.RULE]
    yield "rules:" if any(each.rule for each in rules) else "rules: []"
    for each in rules:
        yield from _lines(each, file)
    if denied := [each for each in imported if not each.refused and each.entry.kind is Kind.DENY]:
        yield "deny:"
        for each in denied:
            yield from _lines(each, file)


def _lines(each: Imported, file: str) -> Iterator[str]:
    for note in each.entry.notes if not each.refused else ():
        yield f"  # {_one_line(note)}"
    if each.refused:
        yield f"  # refused: {told(each, file)}"
    else:
        yield f"  - {each.text}"


def configuration(imported: Iterable[Imported]) -> list[str]:
    """The lines of `registries:` in the configuration of a site or replica; none where nothing is of it."""
    found = [each for each in imported if not each.refused and each.entry.kind is Kind.PARENTS]
    if not found:
        return []
    lines = ["registries:"]
    for each in found:
        lines += [f"  # {_one_line(note)}" for note in each.entry.notes]
        lines.append(f"  {each.text}")
    return lines


def told(each: Imported, file: str) -> str:
    """`FILE:LINE:COLUMN: entry: sentence`."""
    place = f"{file}:{each.entry.mark.line}:{each.entry.mark.column}: " if file else ""
    return f"{place}{_one_line(each.entry.where)}: {_one_line(each.entry.refused)}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def compared(imported: Iterable[Imported]) -> list[Imported]:
    """Those whose tool's own way of matching is at hand."""
    return [each for each in imported if each.entry.selects is not None and each.rule is not None]


def differences(imported: Iterable[Imported], tags: Iterable[str]) -> Iterator[str]:
    """Where the tool's own way of matching and ours select differently, over `tags`."""
    tags = list(tags)
    for each in compared(imported):
        own = each.entry.selects
        assert own is not None and each.rule is not None, "is compared"
        theirs, ours = {t for t in tags if own(t)}, {t for t in tags if t in each.rule.tags}
        for tag in sorted(theirs ^ ours):
            side = "only the tool takes" if tag in theirs else "only the rule takes"
            yield f"{each.rule.name}: {side} {tag}"
