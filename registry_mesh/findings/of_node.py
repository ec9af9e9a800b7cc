"""Findings about the node itself: its store, its processes, its files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from registry_mesh.findings.facts import NodeFacts, StoreFacts
from registry_mesh.findings.finding import Finding
from registry_mesh.findings.words import moment, quota_size, size, span

_DAY: Final = 86400.0
_FULL: Final = 0.95
_ENDING: Final = 14 * _DAY
_EVICTED: Final = 0.05
"""Of what the store can hold: less is no thrashing, however much of it comes back."""
_CAME_BACK: Final = 0.2
_TOLD: Final = 4
"""Blobs that are told of."""
_BUCKET: Final = "the bucket"
_SCRUB_LATE: Final = 2.0
"""Times of `scrub.every` after which what is held should have been read again."""
_FILES_LOW: Final = 4096
_FILES_A_READER: Final = 2
_DEATHS: Final = 3


def of_store(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether bytes can be kept, and keep."""
    store = facts.store
    if store.fault:
        yield _fault(facts, now)
    if store.quota and not store.evicts and store.used > _FULL * store.quota:
        yield Finding(
            "store-full",
            f"The store is {100 * store.used / store.quota:.0f} % full; nothing may be evicted.",
            store.where,
            (f"{size(store.used)} of {quota_size(store.quota)}.",),
            f"registry-mesh gc {facts.config} --dry-run, or a larger store.disk.quota",
            now,
        )
    yield from _thrash(facts)
    yield from _small(facts)
    if store.newer_format:
        yield Finding(
            "format-newer",
            f"The store was written by a newer registry-mesh (format {store.newer_format}; "
            f"this one reads up to {store.format}).",
            store.where,
            (f"{store.where}. This node goes on until it ends, and cannot start on it again.",),
            "upgrade this node",
        )
    yield from _of_care(facts, now)


def _of_care(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether what is stored is still what it was, and is looked at."""
    store, care = facts.store, facts.care
    if care.rotten:
        yield Finding(
            "rot",
            f"{care.rotten} stored chunk{'' if care.rotten == 1 else 's'} had rotted; {care.repaired} mended.",
            store.where,
            ("Within a day.",),
            "the disk's health: smartctl -a",
            now,
        )
    if care.wrong:
        yield Finding(
            "rot",
            f"verify found {care.wrong:,} thing{'' if care.wrong == 1 else 's'} wrong in the store, not mended yet.",
            "verify",
            (f"At {moment(care.verified, now)}. The first: {care.first_wrong}",),
            f"registry-mesh verify {facts.config} --repair says what mends it, and whether it is mended",
            care.verified,
        )
    since = care.scrubbed or facts.started
    if care.scrub_every and now - since > _SCRUB_LATE * care.scrub_every:
        last = f"Last read again {span(now - care.scrubbed)} ago" if care.scrubbed else "Never read again"
        wanted = f"scrub.every is {span(care.scrub_every)}"
        yield Finding("scrub-old", f"{last}; {wanted}.", store.where, (), "raise scrub.rate", since)


def _fault(facts: NodeFacts, now: float) -> Finding:
    store = facts.store
    where = store.bucket if store.bucket and _BUCKET in store.fault else store.where
    disk = f"dmesg, df {where}: mend the disk, or name another in the configuration"
    return Finding(
        "store-fault",
        f"The store cannot be written to: {store.fault}.",
        where,
        (f"Since {moment(store.fault_since, now)}, {where}. Pulls go on past it.",),
        f"step by step: registry-mesh probe {facts.config}" if where == store.bucket else disk,
        store.fault_since,
    )


def _thrash(facts: NodeFacts) -> Iterator[Finding]:
    """Whether a cache evicts what it needs again."""
    store = facts.store
    if (
        not store.evicted
        or store.evicted < _EVICTED * _holds(store)
        or store.refetched <= _CAME_BACK * store.evicted
    ):
        return
    share = min(1.0, store.refetched / store.evicted)
    free = f" ({size(store.free)} are free on its file system)" if store.free else ""
    yield Finding(
        "store-thrash",
        f"{share:.0%} of what was evicted within 24 h was fetched again: the store throws out what it needs.",
        store.where,
        (
            f"{size(store.evicted)} evicted, {size(store.refetched)} fetched again; it holds {size(store.used)}.",
        ),
        f"a larger disk or quota{free}, or fewer pins: registry-mesh ls {facts.config} --pinned",
    )


def _small(facts: NodeFacts) -> Iterator[Finding]:
    """Whether blobs are asked for that the store can never hold; those that cost most."""
    store = facts.store
    larger = [each for each in facts.unkept if store.quota and each.size > store.quota]
    for each in sorted(larger, key=lambda blob: (-blob.times * blob.size, blob.digest))[:_TOLD]:
        times = "once" if each.times == 1 else f"{each.times:,} times"
        yield Finding(
            "store-small",
            f"A blob of {size(each.size)} of {each.repository} is larger than the store ({size(store.quota)}): "
            "each pull fetches it again.",
            f"{each.repository}@{each.digest}",
            (f"{each.digest} passed through {times} within 24 h, and is never held whole.",),
            f"raise {store.quota_key} in {facts.config} above {size(each.size)}, with room for others",
            each.since,
        )


def _holds(store: StoreFacts) -> int:
    """Bytes that it can hold: its quota, or what its disk has room for, where that is less."""
    room = store.used + store.free
    return max(store.used, min(store.quota, room) if store.quota else room)


def of_program(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether processes live, and do what they were told."""
    program = facts.program
    if program.deaths >= _DEATHS:
        yield Finding(
            "workers-die",
            f"{program.deaths} processes died in 15 min.",
            evidence=("What they said last is in the log.",),
            next="journalctl -u registry-mesh@NAME -p err",
            since=now,
        )
    if program.refused:
        yield Finding(
            "reload-failed",
            f"The new file is not taken; that of {moment(program.loaded, now)} stays in force.",
            facts.config,
            tuple(program.refused.splitlines()[:4]),
            f"registry-mesh check-config {facts.config}, then reload again",
            program.refused_at,
        )
    if program.files < _FILES_LOW:
        readers = program.files // _FILES_A_READER
        yield Finding(
            "limits-low",
            f"At most {program.files:,} open files, room for about {readers:,} readers.",
            evidence=("Somebody started serve by hand: the unit sets 1,048,576.",),
            next="ulimit -Hn 65536 before serve, or LimitNOFILE= in the unit",
            since=facts.started,
        )


def of_certificates(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether what the node shows is good for long."""
    for certificate in facts.certificates:
        left = certificate.ends - now
        if left < _ENDING:
            ends = f"ends in {span(left)}" if left > 0 else f"ended {span(-left)} ago"
            why = certificate.unusable
            newer = f"; the one in the file now cannot be used: {why}" if why else ""
            yield Finding(
                "certificate-ending",
                f"The certificate for {certificate.listener} {ends}{newer}.",
                certificate.file,
                (f"It is {certificate.file}.",),
                f"put a certificate into {certificate.file} that fits its key"
                if why
                else f"renew {certificate.file}",
                certificate.ends - _ENDING,
            )


def of_access(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether the files that say who may do what can be used."""
    access = facts.access
    if access.faults:
        yield Finding(
            "access-invalid",
            f"The access files are not taken since {moment(access.faults_since, now)}; the old ones stay in force.",
            facts.config,
            access.faults[:4],
            f"registry-mesh check-config {facts.config}",
            access.faults_since,
        )


def of_files(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether the other files that the configuration names can be used."""
    for each in facts.files:
        yield Finding(
            "files-invalid",
            f"{each.key} is not taken from its files as they are; what they said last stays in force.",
            each.key,
            (*each.why[:4], "A process that dies begins again with that; a node that is started does not."),
            f"registry-mesh check-config {facts.config}",
        )


def of_webhooks(facts: NodeFacts, now: float) -> Iterator[Finding]:
    """Whether receivers take their events."""
    for hook in facts.webhooks:
        lost = f", {hook.lost:,} are lost" if hook.lost else ""
        yield Finding(
            "webhook-down",
            f"Webhook {hook.name} takes no events: {hook.why}.",
            hook.to,
            (f"Since {moment(hook.since, now)}; {hook.waiting:,} wait{lost}.",),
            f"mend {hook.to}, or its url and secret in {facts.config}",
            hook.since,
        )
