"""Rule files of the second edition, `registry-mesh/rules/2`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from registry_mesh.config import rule_values as values
from registry_mesh.config.document import Document, mapping
from registry_mesh.config.finding import Path as Place
from registry_mesh.config.model_errors import report_model_errors
from registry_mesh.config.rule_entries import SECOND, RuleFile
from registry_mesh.config.rule_selections import Common, Selections, Sets, used_sets
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.refusals import DigestInvalid, Refusal
from registry_mesh.replication.companions import ALL
from registry_mesh.replication.keep import By, Keep
from registry_mesh.replication.rules import Denial, Rule, Rules, Selection
from registry_mesh.replication.subject import Subject
from registry_mesh.replication.terms import NEVER, Data, Delete, Priority, Trial
from registry_mesh.replication.trial import reference
from registry_mesh.replication.window import Window

T = TypeVar("T")
GUARD: Final = 0.1


def read_second(documents: Sequence[Document], common: Common) -> Rules:
    """All files of a folder, which are one set of rules; what is wrong goes to their findings."""
    sets = Sets()
    for document in documents:
        sets.take(document)
    files = [_File(document, common, sets) for document in documents]
    rules = tuple(rule for file in files for rule in file.rules())
    deny = tuple(each for file in files for each in file.deny())
    guards = [each for file in files if (each := file.guard()) is not None]
    trials = tuple(each for file in files for each in file.trials())
    deletes = [longest for file in files if (longest := file.defaults_delete()) is not None]
    vanished = max(deletes, key=lambda each: each.longest, default=NEVER)
    sets.report_unused()
    return Rules(rules, deny, min(guards, default=GUARD), vanished, trials)


class _File:
    """One document."""

    def __init__(self, document: Document, common: Common, sets: Sets) -> None:
        self._document = document
        self._reading = Selections(document, common, sets, 2)
        if not isinstance(document.value, dict):
            document.report((), "a rule file is a mapping", f"begin with schema: {SECOND}")
            return
        if "role" in document.value and "store" in document.value:
            what = "this is the configuration of a node, and no rule file"
            named = {"rules": document.find("rules"), "retention.rules": document.find("retention", "rules")}
            folders = " or ".join(f"{folder} ({key})" for key, folder in named.items() if folder)
            document.value = {}
            document.report(
                (), what, f"give {folders or 'the folder that its key rules names'}, or the files in it"
            )
            return
        try:
            RuleFile.model_validate(document.value)
        except ValidationError as invalid:
            report_model_errors(document, RuleFile, invalid)
        every = [*_listed(document.find("rules")), *_listed(document.find("deny")), document.find("defaults")]
        sets.used |= used_sets(every, ("repos", "tags", "nodes"))

    def rules(self) -> list[Rule]:
        found = [self._rule(("rules", i)) for i in range(len(_listed(self._document.find("rules"))))]
        return [rule for rule in found if rule is not None]

    def deny(self) -> list[Denial]:
        found = [self._denial(("deny", i)) for i in range(len(_listed(self._document.find("deny"))))]
        return [each for each in found if each is not None]

    def guard(self) -> float | None:
        written = self._document.find("guard")
        return self._value(("guard",), values.share, written) if isinstance(written, str) else None

    def defaults_delete(self) -> Delete | None:
        written = self._document.find("defaults", "delete")
        return None if written is None else self._value(("defaults", "delete"), values.delete, written)

    def trials(self) -> list[Trial]:
        found = []
        for i, entry in enumerate(_listed(self._document.find("tests"))):
            given, expect = mapping(entry).get("given"), mapping(entry).get("expect")
            facts = given if isinstance(given, dict) else {"ref": given}
            ref = facts.get("ref")
            if isinstance(ref, str) and isinstance(expect, str | dict):
                rest = {key: value for key, value in facts.items() if key != "ref"}
                self._check_facts(("tests", i, "given"), rest)
                told = dict(expect) if isinstance(expect, dict) else expect
                if isinstance(told, dict):
                    self._check_facts(("tests", i, "expect"), told)
                self._value(("tests", i, "given"), _reference, ref)
                found.append(Trial(ref, rest, told, self._place(("tests", i))))
        return found

    def _check_facts(self, at: Place, facts: dict[str, Any]) -> None:
        for key, parse in (("seen", values.duration), ("wait", values.duration), ("size", values.size)):
            if isinstance(facts.get(key), str):
                facts[key] = self._value((*at, key), parse, facts[key])

    def _denial(self, at: Place) -> Denial | None:
        registry, digest = self._document.find(*at, "from"), self._document.find(*at, "digest")
        self._reading.check_registry((*at, "from"), registry)
        if not isinstance(registry, str):
            return None
        host = values.host_of(registry)
        found = self._value((*at, "digest"), _digest, digest) if isinstance(digest, str) else None
        repositories = self._reading.repositories((*at, "repos"), host)
        tags = self._reading.selection((*at, "tags"), Subject.TAG)
        if repositories is None and tags is None and found is None:
            self._document.report(at, "names nothing", "say which repos, tags or digest")
            return None
        note = " ".join(str(self._document.find(*at, "note") or "").split())
        return Denial(host, repositories, tags, found, note, self._place(at))

    def _rule(self, at: Place) -> Rule | None:
        """The rule, where enough of it is right. What the model found wrong is not said twice."""
        registry = self._document.find(*at, "from")
        self._reading.check_registry((*at, "from"), registry)
        host = values.host_of(registry) if isinstance(registry, str) else None
        repositories = self._reading.repositories((*at, "repos"), host)
        tags = self._reading.selection((*at, "tags"), Subject.TAG)
        name = self._name(at)
        keys = self._keys(at)
        keep = keys["keep"]
        if keep is not None and tags is not None:
            self._check_keep(self._where(at, "keep"), keep, tags)
        if name is None or host is None or repositories is None or tags is None:
            return None
        return Rule(name, host, repositories, tags, place=self._place(at), **keys)

    def _name(self, at: Place) -> str | None:
        """As it is written, else the text of `repos`."""
        name = self._document.find(*at, "name")
        if isinstance(name, str) and name:
            self._reading.check_name((*at, "name"), name)
            return name
        if name is not None:
            return None
        told = ", ".join(values.texts(self._document.find(*at, "repos")))
        if told:
            self._reading.check_name(at, told, "give one of them a name")
        return told or None

    def _keys(self, at: Place) -> dict[str, Any]:
        """All keys of `Rule` that have a default; Any, for each has a type of its own."""

        def read(key: str, parse: Callable[[Any], T | None], default: T) -> T:
            where = self._where(at, key)
            written = self._document.find(*where)
            found = None if written is None else self._value(where, parse, written)
            return default if found is None else found

        def text(parse: Callable[[str], T]) -> Callable[[Any], T | None]:
            return lambda written: parse(written) if isinstance(written, str) else None

        def each(key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
            where = self._where(at, key)
            return tuple(self._several(where, parse))

        def patterns(key: str, subject: Subject) -> Selection | None:
            return self._reading.selection(self._where(at, key), subject)

        return {
            "platforms": self._reading.platforms(self._where(at, "platforms")),
            "note": read("note", text(str.rstrip), ""),
            "types": each("types", str),
            "labels": read("labels", _labels, tuple[tuple[str, str], ...]()),
            "most": read("max", text(values.size), None),
            "companions": read("with", lambda w: values.companions(values.texts(w)), ALL),
            "verify": read("verify", values.verify, None),
            "age": read("age", text(values.duration), 0.0),
            "fixed": patterns("fixed", Subject.TAG),
            "to": tuple(self._targets(self._where(at, "to"))),
            "nodes": patterns("nodes", Subject.NODE),
            "data": read("data", _one_of(Data), Data.FULL),
            "variants": frozenset(each("variants", str)),
            "keep": read("keep", lambda w: values.keep(w if isinstance(w, dict) else {"newest": w}), None),
            "delete": read("delete", values.delete, NEVER),
            "hold": read("hold", text(values.hold), None),
            "every": read("every", text(values.schedule), None),
            "when": each("when", Window.parse),
            "budget": each("budget", values.budget),
            "priority": read("priority", _one_of(Priority), Priority.NORMAL),
        }

    def _targets(self, at: Place) -> list[Any]:
        written = self._document.find(*at)
        if not isinstance(written, list):
            found = None if written is None else self._value(at, values.target, written)
            return [] if found is None else [found]
        several = [self._value((*at, i), values.target, each) for i, each in enumerate(written)]
        return [each for each in several if each is not None]

    def _several(self, at: Place, parse: Callable[[str], T]) -> list[T]:
        written = self._document.find(*at)
        if isinstance(written, str):
            found = self._value(at, parse, written)
            return [] if found is None else [found]
        several = [
            self._value((*at, i), parse, each)
            for i, each in enumerate(_listed(written))
            if isinstance(each, str)
        ]
        return [each for each in several if each is not None]

    def _check_keep(self, at: Place, keep: Keep, tags: Selection) -> None:
        for each in tags.patterns:
            counts = not each.negative and each.exact is None and each.pin is None
            if keep.by is By.VERSION and counts and not each.is_version:
                what = f"keep counts versions, and {each.text!r} reads none: say by: seen, or write semver:"
                self._document.report(at, what)
                return

    def _where(self, at: Place, key: str) -> Place:
        """Where a key of a rule stands: at the rule, else in the defaults of the file."""
        return (*at, key) if key in mapping(self._document.find(*at)) else ("defaults", key)

    def _value(self, at: Place, parse: Callable[[Any], T], written: object) -> T | None:
        try:
            return parse(written)
        except ValueError as fault:
            if not any(found.path == at and found.what == str(fault) for found in self._document.findings):
                self._document.report(at, str(fault))
            return None

    def _place(self, at: Place) -> str:
        mark = self._document.mark(at)
        return f"{self._document.file}:{mark.line}:{mark.column}"


def _labels(written: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(k), str(v)) for k, v in mapping(written).items()))


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except DigestInvalid as refusal:
        raise ValueError(f"{text!r}: {refusal.reason}") from None


def _reference(text: str) -> object:
    try:
        return reference(text)
    except Refusal as refusal:
        raise ValueError(f"{text!r}: {refusal.reason}; write REGISTRY/REPOSITORY:TAG") from None


def _one_of(kind: Callable[[str], T]) -> Callable[[Any], T | None]:
    """A member of an enum by its value; what is none is told by the model."""

    def parse(written: Any) -> T | None:
        try:
            return kind(written)
        except ValueError:
            return None

    return parse
