"""Findings about registries and their parents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from registry_mesh.findings.facts import NodeFacts, ParentFacts, RegistryFacts
from registry_mesh.findings.finding import Finding
from registry_mesh.findings.outage import Outage, outage_of
from registry_mesh.findings.words import day, moment, size, span

_CERTIFICATE: Final = "its TLS certificate "
_ANSWER: Final = {200: "a web page", 400: "400, as an HTTPS port does to plain HTTP"}
_LEADS_AWAY: Final = "redirects "
_AWAY_LASTS: Final = 600.0
"""Seconds for which a redirect that was not followed is told."""
_LEADS_BACK: Final = "leads back"
_GRACE_LOW: Final = 5 * 86400.0
_LOGIN: Final = ("401", "login", "credentials")


def of_parents(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """All about all registries."""
    for registry in facts.registries:
        for found in _of_registry(registry, facts.config, now):
            yield replace(found, registries=(registry.name,))


def _of_registry(registry: RegistryFacts, config: str, now: float) -> Iterator[Finding]:
    lost = [parent for parent in registry.parents if not parent.usable]
    silent = [parent for parent in lost if parent.state != "throttled"]
    outage = outage_of(registry) if silent else None  # throttled parents have a finding of their own
    if outage:
        yield _offline(registry, silent, outage, config, now)
        yield from _grace(registry, outage, config, now)
    elif (cut_off := [parent for parent in registry.parents if parent.usable]) and all(
        parent.cut_off for parent in cut_off
    ):
        yield _cut_off(registry, cut_off, now)
    if registry.forgotten:
        yield _forgotten(registry, config)
    for parent in registry.parents:
        if parent.state == "throttled":
            yield _throttled(registry, parent, now)
        elif not parent.usable:
            found = _lost(registry, parent, config, now)
            if not (outage and found.name == "parent-down"):  # that one names it
                yield found
        elif parent.denied_since:
            yield _denied(registry, parent, now)
        elif parent.no_registry:
            yield _no_registry(registry, parent, config)
        elif parent.error.startswith(_LEADS_AWAY) and now - parent.error_at < _AWAY_LASTS:
            yield _leads_away(registry, parent, config, now)
        elif parent.slow_until > now:
            yield _slow(registry, parent, config, now)
        yield from _stale(registry, parent, now)
        if parent.lies:
            yield _lies(registry, parent, now)


def _offline(
    registry: RegistryFacts, lost: list[ParentFacts], outage: Outage, config: str, now: float
) -> Finding:
    """Nothing new comes. Silence is told apart from errors, among which tags are answered for less long."""
    said = "answers: offline" if outage.silent else "answers but with errors"
    return Finding(
        "offline",
        f"No parent of {registry.name} {said} since {moment(outage.since, now)}; what is held goes on, "
        f"tags until {day(outage.ends)}.",
        registry.name,
        tuple(f"{parent.name} {parent.why}, since {moment(parent.since, now)}." for parent in lost),
        f"registry-mesh probe {config}",
        outage.since,
    )


def _cut_off(registry: RegistryFacts, parents: list[ParentFacts], now: float) -> Finding:
    """Parents answer, and are offline themselves: nothing new comes by them."""
    since = max(parent.cut_off for parent in parents)
    return Finding(
        "offline",
        f"No parent of {registry.name} reaches what is above it: offline since {moment(since, now)}; "
        "what is held goes on, nothing of it is refreshed.",
        registry.name,
        tuple(
            f"{parent.name} answers, and says that none of its own parents does since {moment(parent.cut_off, now)}."
            for parent in parents
        ),
        "their admin; registry-mesh parents there says why",
        since,
    )


def _forgotten(registry: RegistryFacts, config: str) -> Finding:
    return Finding(
        "readers-missing",
        f"{registry.name} is served to nobody: no line says who may read it.",
        registry.name,
        ("This node fetches it with its own credentials, so each caller is answered 403.",),
        f"add readers: users (or everybody, names, @groups) below registries.{registry.name} in {config}, or a policy "
        f"with registries: {registry.name}; then reload",
    )


def _grace(registry: RegistryFacts, outage: Outage, config: str, now: float) -> Iterator[Finding]:
    ends, key = outage.ends, "offline_grace" if outage.silent else "stale_if_error"
    if not outage.grace or ends - now >= _GRACE_LOW:
        return
    left = (
        f"are answered for {span(ends - now)} more, then digests only"
        if ends > now
        else "are answered no more"
    )
    yield Finding(
        "grace-ending",
        f"Tags of {registry.name} {left}.",
        registry.name,
        (f"A parent was well last at {moment(outage.answered, now)}, and {key} is {span(outage.grace)}.",),
        f"bring a parent back (registry-mesh probe {config}), or raise registries.{registry.name}.tags.{key}",
        max(ends - _GRACE_LOW, outage.since),
    )


def _slow(registry: RegistryFacts, parent: ParentFacts, config: str, now: float) -> Finding:
    others = sorted((other for other in registry.parents if other.usable and other is not parent), key=_rate)
    known = others[-1] if others and others[-1].rate > parent.rate else None
    where = f" where {known.name} gives {size(known.rate)}/s" if known else ""
    return Finding(
        "parent-slow",
        f"{parent.name} gives {size(parent.rate)}/s{where}.",
        parent.name,
        (
            f"Since {moment(parent.slow_since, now)}. "
            f"It is asked for blobs after the others until {moment(parent.slow_until, now)}.",
        ),
        "nothing: it is tried again then; if it lasts for a day, tell its admin: "
        f"registry-mesh parents {config} {parent.name} --measure",
        parent.slow_since,
    )


def _stale(registry: RegistryFacts, parent: ParentFacts, now: float) -> Iterator[Finding]:
    """Of one that is cut off itself, beside another that is not: what is asked of it may be older than it need be."""
    others = [other.name for other in registry.parents if other.usable and not other.cut_off]
    if not parent.usable or not parent.cut_off or not others:
        return
    yield Finding(
        "parent-stale",
        f"{parent.name} answers, and reaches none of its own parents of {registry.name}; {others[0]} does.",
        parent.name,
        (f"Since {moment(parent.cut_off, now)}, as it says. What it holds is right, and may be older.",),
        "its admin; registry-mesh parents there says why",
        parent.cut_off,
    )


def _denied(registry: RegistryFacts, parent: ParentFacts, now: float) -> Finding:
    if not registry.login:
        return _turned_away(registry, parent, now)
    return Finding(
        "parent-denied",
        f"{parent.name} does not take our credentials for {registry.name}.",
        _shown(registry, parent),
        (f"Since {moment(parent.denied_since, now)}: {parent.error}.",),
        f"put the right ones in place (registries.{registry.name}.credentials); a file is read again at once",
        parent.denied_since,
    )


def _turned_away(registry: RegistryFacts, parent: ParentFacts, now: float) -> Finding:
    """Nothing was shown that it could have taken."""
    said = parent.error if parent.error.startswith("answer") else "refuses what it is asked for"
    return Finding(
        "parent-denied",
        f"{parent.name} gives this node nothing of {registry.name}: it {said}.",
        _shown(registry, parent),
        (f"Since {moment(parent.denied_since, now)}. This node shows it no login.",),
        f"a login, in registries.{registry.name}.credentials; or its admin lets this node's address in",
        parent.denied_since,
    )


def _shown(registry: RegistryFacts, parent: ParentFacts) -> str:
    """What a parent is shown for one registry: it may take what it is shown for another."""
    return f"{parent.name} for {registry.name}"


def _no_registry(registry: RegistryFacts, parent: ParentFacts, config: str) -> Finding:
    return Finding(
        "parent-down",
        f"{parent.name} is no registry: it answers /v2/ with {_ANSWER.get(parent.no_registry, parent.no_registry)}.",
        parent.name,
        (f"It is a parent of {registry.name}, and gives nothing.",),
        f"its address, in registries.{registry.name}.parents; step by step: registry-mesh probe {config}",
        hides=True,
    )


def _leads_away(registry: RegistryFacts, parent: ParentFacts, config: str, now: float) -> Finding:
    what, _, named = parent.error.partition(": if that is right")
    to_do = f"if that is right, name it in registries.{registry.name}.redirects; " if named else ""
    return Finding(
        "parent-down",
        f"{parent.name} {what}: this node does not follow.",
        parent.name,
        (f"At {moment(parent.error_at, now)} last. What it leads there for is not to be had from it.",),
        f"{to_do}step by step: registry-mesh probe {config}",
    )


def _rate(parent: ParentFacts) -> float:
    return parent.rate


def _throttled(registry: RegistryFacts, parent: ParentFacts, now: float) -> Finding:
    again = f", again at {moment(parent.again, now)}" if parent.again else ""
    wait = f"wait until {moment(parent.again, now)}" if parent.again else "wait"
    first = "ask for more than your account has" if registry.login else "give the account"
    return Finding(
        "throttled",
        f"{registry.name} lets nobody pull from {parent.name} for now: it {parent.why}{again}.",
        registry.name,
        (f"Since {moment(parent.since, now)}. What is held goes on.",),
        f"{first} (registries.{registry.name}.credentials), or {wait}",
        parent.since,
    )


def _lost(registry: RegistryFacts, parent: ParentFacts, config: str, now: float) -> Finding:
    since = f"Since {moment(parent.since, now)}."
    again = f" It is asked again at {moment(parent.again, now)}." if parent.again else ""
    if parent.why.startswith(_CERTIFICATE):
        return Finding(
            "tls-untrusted",
            f"{parent.name} cannot be trusted: {parent.why}.",
            parent.name,
            (since + again,),
            _certified(registry, parent.why, config),
            parent.since,
        )
    if registry.login and any(word in parent.why for word in _LOGIN):
        return Finding(
            "parent-denied",
            f"{parent.name} does not take our credentials: it {parent.why}.",
            parent.name,
            (since + again,),
            f"renew registries.{registry.name}.credentials",
            parent.since,
        )
    if _LEADS_BACK in parent.why:
        return _loop(parent, since)
    others = [other.name for other in registry.parents if other.usable]
    stands_in = f"; {others[0]} stands in" if others else ""
    return Finding(
        "parent-down",
        f"{parent.name} {parent.why} since {moment(parent.since, now)}{stands_in}.",
        parent.name,
        ((f"It is a parent of {registry.name}." + again),),
        f"its admin; what is amiss step by step: registry-mesh probe {config}",
        parent.since,
    )


def _certified(registry: RegistryFacts, why: str, config: str) -> str:
    """What makes a certificate good again, by what is wrong with it."""
    if "expired" in why:
        return f"its admin renews it; step by step: registry-mesh probe {config}"
    if "not valid yet" in why:
        return "this machine's clock: chronyc tracking; if it is right, its admin renews the certificate"
    if "for another" in why:
        return f"in registries.{registry.name}.parents, a name that is in it; or its admin adds this one"
    return f"name its authority in registries.{registry.name}.ca, or its admin renews the certificate"


def _loop(parent: ParentFacts, since: str) -> Finding:
    return Finding(
        "loop",
        f"{parent.name} has this node among its parents, or theirs, and this node has {parent.name}.",
        parent.name,
        (f"{since} It is not asked.",),
        f"take one of them out: {parent.place}" if parent.place else "take one of them out",
        parent.since,
    )


def _lies(registry: RegistryFacts, parent: ParentFacts, now: float) -> Finding:
    """What a parent's chunk map proves goes nowhere before it is proven; all else is proven where it ends."""
    times = "once" if parent.lies == 1 else f"{parent.lies} times"
    ranges = (
        f", and wrong ranges may have gone to clients (registries.{registry.name}.ranges)"
        if registry.unproven
        else ""
    )
    return Finding(
        "parent-lies",
        f"{parent.name} sent wrong bytes {times} in an hour; no wrong blob was kept.",
        parent.name,
        (
            "Its disk, its link, or worse.",
            f"What came without a chunk map is proven at its end: pulls of it were cut off{ranges}.",
        ),
        "its admin: verify its store",
        now,
    )
