"""Tests in rule files: facts of one reference, and what must come of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import (
    RegistryName,
    RepositoryName,
    Tag,
    full_name,
    parse_name,
    parse_registry,
    parse_tag,
)
from registry_mesh.oci.refusals import NameInvalid
from registry_mesh.replication.decision import Decision, Place, Verdict, decide
from registry_mesh.replication.naming import targets
from registry_mesh.replication.rules import Rules
from registry_mesh.replication.tag_facts import TagFacts
from registry_mesh.replication.terms import Trial

_NOW: Final = 2_000_000_000.0
"""Any time does: what is given is how long ago something was."""
_NO_REGISTRY: Final = "the registry is missing"
_SELECTING: Final = frozenset({"type", "labels"})
_GUARDING: Final = frozenset({"size", "signed_by"})
"""Facts on which it depends whether a rule takes a reference, and those on which only what guards it does."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A test that did not come true; `invalid` where it could not even be tried."""

    trial: Trial
    why: str
    invalid: bool = False

    @property
    def sides(self) -> tuple[str, str]:
        """What the test expects, and what is."""
        expected, _, found = self.why.partition(", and ")
        return expected.removeprefix("expects "), found.removeprefix("it is ")


def try_all(rules: Rules) -> list[Failed]:
    """Those of the folder's tests that fail, in the order of the files. `Refusal` where a reference is none."""
    return [Failed(trial, *why) for trial in rules.trials for why in _tried(rules, trial)]


def _tried(rules: Rules, trial: Trial) -> Iterator[tuple[str, bool]]:
    place, tag, digest = reference(trial.ref)
    if place.registry not in rules.registries and not names_registry(trial.ref):
        yield f"{trial.ref!r}: {_NO_REGISTRY}; write REGISTRY/REPOSITORY:TAG", True
        return
    given = trial.facts
    facts = TagFacts(
        digest,
        since=_NOW - given["seen"] if "seen" in given else None,
        size=given.get("size"),
        type=given.get("type"),
        labels={key: (value,) for key, value in given["labels"].items()} if "labels" in given else None,
        signed_by=frozenset(given["signed_by"]) if "signed_by" in given else None,
    )
    listing = {Tag(each): TagFacts() for each in given.get("tags", ())} | {tag: facts}
    by = rules.of(place.registry, place.repository)
    decision = decide(place, rules, by, listing, _NOW).get(tag)
    expect = {"rules": trial.expect} if isinstance(trial.expect, str) else dict(trial.expect)
    lacking = next(_lacking(expect, given, decision), None)
    if lacking is not None:
        yield lacking, True
        return
    yield from ((why, False) for why in _differences(place, decision, expect))


def _lacking(expect: Mapping[str, Any], given: Mapping[str, Any], decision: Decision | None) -> Iterator[str]:
    """What a test depends on and does not give."""
    if decision is None:
        return
    if "kept" in expect and "tags" not in given and any(rule.keep for rule in decision.rules):
        yield "expects kept, and gives no tags"
    if "wait" in expect and any(rule.age for rule in decision.rules) and "seen" not in given:
        yield "expects wait, and gives no seen"
    needed = _SELECTING | (_GUARDING if "refused" in expect else frozenset())
    for fact in decision.unknown:
        if fact in needed:
            yield f"depends on {fact}, and gives none"


def _differences(place: Place, decision: Decision | None, expect: Mapping[str, Any]) -> Iterator[str]:
    names = tuple(rule.name for rule in decision.rules) if decision is not None else ()
    verdict = decision.verdict if decision is not None else None
    if "rules" in expect:
        wanted = expect["rules"]
        told = "denied" if verdict is Verdict.DENY else " and ".join(names) or "none"
        if wanted == "denied" or wanted == "none" or isinstance(wanted, str):
            differs = told != wanted
        else:
            differs = verdict is Verdict.DENY or sorted(names) != sorted(wanted)
        if differs:
            yield f"expects {wanted if isinstance(wanted, str) else ' and '.join(wanted)}, and it is {told}"
    if "refused" in expect:
        because = decision.because if decision and verdict in (Verdict.REFUSE, Verdict.DENY) else ""
        if not because or expect["refused"] not in because:
            yield f"expects refused: {expect['refused']}, and it is {because or 'not refused'}"
    if "kept" in expect and expect["kept"] is not (verdict not in (None, Verdict.PAST)):
        yield f"expects kept: {str(expect['kept']).lower()}, and it is {decision.because if decision else 'none'}"
    if "wait" in expect:
        until = decision.until if decision is not None else None
        waits = 0.0 if until is None else until - _NOW
        if waits != expect["wait"]:
            yield f"expects to wait {expect['wait']:g} s, and it waits {waits:g} s"
    if "platforms" in expect and decision is not None:
        platforms = decision.platforms
        told = "all" if platforms is None else ", ".join(sorted(map(str, platforms)))
        if told != ", ".join(sorted(expect["platforms"])):
            yield f"expects platforms {', '.join(expect['platforms'])}, and they are {told}"
    if "to" in expect:
        yield from _elsewhere(place, decision, expect["to"])


def _elsewhere(place: Place, decision: Decision | None, wanted: list[str]) -> Iterator[str]:
    """A name without a registry of its own goes into that of the node, whichever that is."""
    found, faults = targets(place, decision, RegistryName("")) if decision is not None else ([], [])
    here = sorted(map(str, found))
    left = list(here)
    for each in wanted:
        match = next((one for one in left if one in (each, "/" + each.partition("/")[2])), None)
        if match is None:
            told = ", ".join(one.lstrip("/") for one in here) or "nowhere"
            yield f"expects it at {each}, and it goes to {told}" + "".join(f"; {fault}" for fault in faults)
            return
        left.remove(match)
    if left:
        yield f"expects it at {', '.join(wanted)}, and it goes to {left[0].lstrip('/')} too"


def names_registry(text: str) -> bool:
    """Whether a reference begins with what can only be a registry, and no folder of a repository."""
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def reference(text: str) -> tuple[Place, Tag, Digest | None]:
    """`REGISTRY/REPOSITORY:TAG[@DIGEST]`; `Refusal` where it is none."""
    bare, at, digest = text.partition("@")
    registry, _, rest = bare.partition("/")
    if not rest:
        raise NameInvalid(_NO_REGISTRY, given=text[:300])
    known = parse_registry(registry)
    repository, _, tag = rest.partition(":")
    if not repository:
        raise NameInvalid("the repository is missing", given=text[:300])
    if not tag:
        raise NameInvalid("the tag is missing", given=text[:300])
    name: RepositoryName = full_name(known, parse_name(repository))
    return Place(known, name), parse_tag(tag), Digest.parse(digest) if at else None
