"""Policy files: YAML to `auth.policies`, or every fault of every file at once, tests that fail included.

schema: registry-mesh/access/1
groups:
  atlas: [alice, robot:atlas-ci]
policies:
  - name: atlas writes
    repos: ["atlas/**", "!atlas/releases/**"]
    subjects: "@atlas"                      # everybody, users (who logged in), names, @group
    allow: push                             # pull, push, create, tag-update, delete, admin
  - name: the hub is for all who log in
    registries: docker.io                   # all where absent
    repos: "**"
    subjects: users
    allow: pull
tests:
  - {subject: alice, action: push, repo: atlas/app, expect: allow}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError

from registry_mesh.auth.access import Action, Actions, Asked
from registry_mesh.auth.identity import ANONYMOUS_NAME, Identity
from registry_mesh.auth.policies import ALLOWS, DENIES, Entry, Policies
from registry_mesh.auth.subjects import is_group, is_member
from registry_mesh.auth.trials import Trial, failing
from registry_mesh.config.document import Document, read_document
from registry_mesh.config.files import content_of, unreadable
from registry_mesh.config.finding import ConfigInvalid, Finding, Mark
from registry_mesh.config.finding import Path as Place
from registry_mesh.config.model_errors import report_model_errors
from registry_mesh.config.values import RegistryHost, Section, SubjectName, Text, listed
from registry_mesh.oci.reference import DOCKER_HUB, RepositoryName, full_name, is_name
from registry_mesh.replication.pattern import Pattern, PatternFault
from registry_mesh.replication.rules import Selection
from registry_mesh.replication.subject import Subject
from registry_mesh.tasks.files import ON_DISK, Files

SCHEMA: Final = "registry-mesh/access/1"
SUFFIXES: Final = (".yaml", ".yml")
Word = Literal["pull", "push", "create", "tag-update", "delete", "admin"]


Texts = Annotated[tuple[Text, ...], BeforeValidator(listed), Field(min_length=1)]
Subjects = Annotated[tuple[SubjectName, ...], BeforeValidator(listed), Field(min_length=1)]
Words = Annotated[tuple[Word, ...], BeforeValidator(listed)]
Members = Annotated[tuple[Text, ...], BeforeValidator(listed)]


class PolicyEntry(Section):
    """One policy as it is written."""

    name: Text
    """Unique among all files; shown by `access explain`."""
    subjects: Subjects
    """Whom it is about."""
    repos: Texts
    """Patterns of repository names, as in rule files."""
    registries: Annotated[tuple[RegistryHost, ...] | None, BeforeValidator(listed)] = None
    """Registries it holds for; all where absent."""
    allow: Words = ()
    deny: Words = ()


class TestEntry(Section):
    """What must come out of the policies."""

    __test__ = False

    subject: Text
    """A user, `robot:NAME`, `anonymous`."""
    groups: Members = ()
    """Groups that the credentials name."""
    action: Word
    repo: Text
    registry: RegistryHost | None = None
    expect: Literal["allow", "deny"]


class PolicyFile(Section):
    """A policy file as it is written."""

    schema_: Literal["registry-mesh/access/1"] = Field(alias="schema")
    groups: dict[Text, Members] = Field(default_factory=dict)
    policies: Annotated[tuple[PolicyEntry, ...], BeforeValidator(listed)] = ()
    tests: Annotated[tuple[TestEntry, ...], BeforeValidator(listed)] = ()


def policy_paths(directory: str | Path, files: Files = ON_DISK) -> list[Path]:
    """The policy files of a directory, sorted by name. `ConfigInvalid` where it cannot be read or has none."""
    place = Path(directory)
    try:
        paths = sorted(
            p
            for p in map(Path, files.within(str(place)))
            if p.suffix in SUFFIXES and not p.name.startswith(".")
        )
    except OSError as fault:
        raise unreadable(place, fault) from None
    if not paths:
        raise ConfigInvalid(
            [Finding(str(place), Mark(1, 1), (), "no policy files", "add one that ends in .yaml")]
        )
    return paths


def load_policies(
    paths: Iterable[str | Path],
    more: Sequence[Entry] = (),
    private: frozenset[str] = frozenset(),
    files: Files = ON_DISK,
) -> Policies:
    """The policies of all files, and `more`. `private`: see `Policies`. `ConfigInvalid` lists every fault of every
    file, and every test that fails."""
    policies, readers, findings = _read(paths, more, private, files)
    for reader in readers:
        reader.check(policies)
        findings += reader.document.findings
    if findings:
        raise ConfigInvalid(findings)
    return policies


def load_trials(
    paths: Iterable[str | Path], more: Sequence[Entry] = (), private: frozenset[str] = frozenset()
) -> tuple[Policies, list[Trial]]:
    """The policies of all files, and `more`, and the files' tests, which may fail. `ConfigInvalid` lists every fault
    of every file."""
    policies, readers, findings = _read(paths, more, private, ON_DISK)
    trials = [trial for reader in readers for _, trial in reader.trials()]
    for reader in readers:
        findings += reader.document.findings
    if findings:
        raise ConfigInvalid(findings)
    return policies, trials


def _read(
    paths: Iterable[str | Path], more: Sequence[Entry], private: frozenset[str], files: Files
) -> tuple[Policies, list[_Reader], list[Finding]]:
    """The policies, the readers of files that could be read, and what is wrong with the others."""
    readers, findings = list[_Reader](), list[Finding]()
    names: dict[tuple[str, str], str] = {}
    for path in paths:
        try:
            readers.append(_Reader(read_document(content_of(path, files), str(path)), names))
        except ConfigInvalid as invalid:
            findings += invalid.findings
    groups: dict[str, frozenset[str]] = {}
    entries = list(more)
    for reader in readers:
        groups |= reader.groups()
    for reader in readers:
        entries += reader.entries(groups)
    return Policies(tuple(entries), groups, private), readers, findings


class _Reader:
    """One document; what is wrong goes to its findings. `names` keeps where each name was first met."""

    def __init__(self, document: Document, names: dict[tuple[str, str], str]) -> None:
        self.document = document
        self._names = names
        self._file: PolicyFile | None = None
        if not isinstance(document.value, dict):
            document.report((), "a policy file is a mapping", f"begin with schema: {SCHEMA}")
            return
        try:
            self._file = PolicyFile.model_validate(document.value)
        except ValidationError as invalid:
            report_model_errors(document, PolicyFile, invalid)

    def groups(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for name, members in (self._file.groups if self._file else {}).items():
            self._once("group", name, ("groups", name))
            if not is_group(name):
                self.document.report(("groups", name), f"{name} can be no group's name", key=True)
            for i, member in enumerate(members):
                if not is_member(member):
                    how = "a member is a user, robot:NAME or ISSUER:SUBJECT"
                    self.document.report(("groups", name, i), f"{member} can be no member", how)
            found[name] = frozenset(members)
        return found

    def entries(self, groups: Mapping[str, frozenset[str]]) -> list[Entry]:
        listed = self._file.policies if self._file else ()
        return [self._entry(("policies", i), each) for i, each in enumerate(listed)]

    def _entry(self, at: Place, entry: PolicyEntry) -> Entry:
        self._once("policy", entry.name, (*at, "name"))
        if not entry.allow and not entry.deny:
            self.document.report(at, f"{entry.name} says nothing", "add allow: or deny:", key=True)
        registries = frozenset(entry.registries) if entry.registries is not None else None
        return Entry(
            entry.name,
            frozenset(entry.subjects),
            selection(self.document, (*at, "repos"), entry.repos, registries),
            registries,
            actions_of(entry.allow, ALLOWS),
            actions_of(entry.deny, DENIES),
            f"{self.document.file}:{self.document.mark(at).line}",
        )

    def check(self, policies: Policies) -> None:
        """Run the tests of the file, where everything in it can be understood."""
        for at, trial in self.trials():
            for failed in failing(policies, [trial]):
                self.document.report(
                    at, f"the test expects {failed.expected}, and it is {failed.came}", key=True
                )

    def trials(self) -> list[tuple[Place, Trial]]:
        """The tests of the file; none where something in it cannot be understood."""
        if self.document.findings or self._file is None:
            return []
        found = [(("tests", i), self._trial(("tests", i), test)) for i, test in enumerate(self._file.tests)]
        return [(at, trial) for at, trial in found if trial is not None]

    def _trial(self, at: Place, test: TestEntry) -> Trial | None:
        if not is_member(test.subject) and test.subject != ANONYMOUS_NAME:
            self.document.report(
                (*at, "subject"), f"{test.subject} is no single caller", "name one, or anonymous"
            )
            return None
        if wrong := [group for group in test.groups if not is_group(group)]:
            self.document.report((*at, "groups"), f"{wrong[0]} can be no group's name", "leave @ out")
            return None
        registry = test.registry or ""
        if not is_name(test.repo):
            self.document.report((*at, "repo"), f"{test.repo} is no repository name")
            return None
        asked = Asked(Action(test.action), registry, full_name(registry, RepositoryName(test.repo)))
        return Trial(
            f"{self.document.file}:{self.document.mark(at).line}",
            Identity(test.subject, frozenset(test.groups)),
            asked,
            test.expect == "allow",
        )

    def _once(self, kind: str, name: str, at: Place) -> None:
        here = f"{self.document.file}:{self.document.mark(at).line}"
        first = self._names.setdefault((kind, name), here)
        if first != here:
            self.document.report(at, f"{name} is the name of another {kind}: {first}", "choose another")


def selection(
    document: Document, at: Place, texts: Sequence[str], registries: frozenset[str] | None
) -> Selection:
    """The repositories that patterns select; what is wrong with them goes to the document's findings."""
    patterns: list[Pattern] = []
    for i, text in enumerate(texts):
        try:
            pattern = Pattern.parse(text, Subject.REPOSITORY, demands_one=True)
        except PatternFault as fault:
            document.report((*at, i) if isinstance(document.find(*at), list) else at, str(fault))
            continue
        patterns.append(pattern.below("library") if registries == frozenset([str(DOCKER_HUB)]) else pattern)
    if patterns and all(pattern.negative for pattern in patterns):
        document.report(at, "only excludes, so it is about nothing", 'add what to take, such as "**"')
    return Selection(tuple(patterns))


def actions_of(words: Iterable[str], meaning: Mapping[str, Actions]) -> Actions:
    """The actions that words give or take, by `ALLOWS` or `DENIES`."""
    return frozenset(action for word in words for action in meaning[word])
