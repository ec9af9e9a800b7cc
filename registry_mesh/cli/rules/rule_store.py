"""`registry-mesh rules approve` and `rules undo`: what a person says to a replica's deletions."""

from __future__ import annotations

import getpass
import json
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from registry_mesh.cli.rules.rule_options import EXIT_INVALID, EXIT_LOOK, read_reference
from registry_mesh.cli.store import store_command
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.replication.decision import named

if TYPE_CHECKING:
    from registry_mesh.config.schema import Config
    from registry_mesh.ports.storage import Storage
    from registry_mesh.repositories.dated import DatedRepositories
    from registry_mesh.repositories.of_replica import ReplicaRepositories

_CONFIG = click.argument("config", type=click.Path(path_type=Path))


@click.command(epilog="Exit codes: 0 noted; 1 the store failed; 2 DIGEST or the configuration is wrong.")
@click.argument("digest")
@_CONFIG
def approve(digest: str, config: Path) -> None:
    """Let the next run of the replica or origin that CONFIG describes delete what the plan DIGEST names, though it is
    more than the guard allows. Another plan is not approved by it.

    \b
    Example:
      registry-mesh rules approve sha256:9f3a... config/replica.yaml
    """
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        click.echo(f"{digest} is no digest of a plan: copy it whole from what the run said", err=True)
        raise SystemExit(EXIT_INVALID)

    async def note(loaded: Config, storage: Storage) -> int:
        from registry_mesh.content.snapshot.removing.removed import APPROVED, WAITING

        waits = json.loads(await storage.records.get(WAITING) or b"{}").get("digest")
        if waits != digest:
            other = f": {waits} does" if waits else ""
            click.echo(f"warning: no plan of that digest waits for approval{other}", err=True)
        said = {"digest": digest, "by": getpass.getuser(), "at": time.time()}
        await storage.records.put(APPROVED, json.dumps(said).encode())
        click.echo(f"approved {digest}: the next run deletes what it names, and nothing if that has changed")
        return 0

    _with_store(config, note)


@click.command(
    epilog="Exit codes: 0 all is back; 1 a tag was not deleted, or the store failed; 2 the configuration is wrong."
)
@_CONFIG
@click.argument("refs", nargs=-1, metavar="[REF]...")
def undo(config: Path, refs: tuple[str, ...]) -> None:
    """Bring back tags that a run of the rules deleted: each REF (REGISTRY/REPOSITORY:TAG), else all that the last run
    with deletions deleted. Each points at what it pointed at; the bytes are here while the store's grace lasts. A tag
    that was deleted at a registry that is pushed to is put there again, as long as its bytes are there. The companions
    by tag that went with a tag, such as its signature, come back with it.

    \b
    Example:
      registry-mesh rules undo config/replica.yaml registry.cern.example/atlas/athena:24.0.9
    """

    async def bring_back(loaded: Config, storage: Storage) -> int:
        from registry_mesh.content.snapshot.removing.removed import REMOVED

        removed: list[dict[str, Any]] = json.loads(await storage.records.get(REMOVED) or b"[]")
        several = _with_companions(removed, refs) if refs else _last(removed)
        several.sort(key=lambda each: "companion_of" not in each)  # they are back before what they belong to
        async with AsyncExitStack() as stack:
            log = stack.enter_context(store_command.audited(loaded))
            repositories = _repositories(loaded, storage, log.keep)
            await stack.enter_async_context(storage.alone("replication", lambda owner: None))
            back = await _restored(
                repositories, storage, [each for each in several if not each.get("outward")]
            )
            back |= await _put_back(loaded, storage, [each for each in several if each.get("outward")])
        lost = (set(refs) or {_ref(each) for each in several}) - back
        for ref in sorted(lost):
            click.echo(f"{ref} is not among what runs deleted, or is back already", err=True)
        if not several and not refs:
            click.echo("no run has deleted a tag, or all are back already", err=True)
        return EXIT_LOOK if lost or not several else 0

    _with_store(config, bring_back)


@click.command(
    epilog="Exit codes: 0 noted; 1 no run has seen a value of REF, or the store failed; 2 REF or CONFIG is wrong."
)
@_CONFIG
@click.argument("ref")
@click.option("--reason", required=True, help="Why it cannot wait; stands in the run's notes.")
def release(config: Path, ref: str, reason: str) -> None:
    """Let the value that the last run saw at REF (REGISTRY/REPOSITORY:TAG[@DIGEST]) through at the next one, though it
    is younger than the `age` of its rules. Another value of the tag waits; every other guard holds.

    \b
    Example:
      registry-mesh rules release config/replica.yaml docker.io/library/alma:9 --reason "CVE-2026-1234"
    """
    found, tag = read_reference(ref)

    async def note(loaded: Config, storage: Storage) -> int:
        from registry_mesh.content.snapshot.records.released import Release, Releases
        from registry_mesh.content.snapshot.records.remembered_tags import RememberedTags
        from registry_mesh.ports.place import Place

        place = Place(found.registry, found.repository)
        seen = (await RememberedTags(storage.records).of(place)).get(tag)
        digest = ref.partition("@")[2] or (seen.digest if seen is not None else "")
        if not digest:
            click.echo(f"no run has seen a value of {place}:{tag} yet: add @DIGEST", err=True)
            return EXIT_LOOK
        one = Release(place.registry, place.repository, tag, digest, getpass.getuser(), reason, time.time())
        await Releases(storage.records).note(one)
        click.echo(f"{place}:{tag} at {digest} is taken by the next run")
        return 0

    _with_store(config, note, ("replica",))


def _repositories(
    config: Config, storage: Storage, keep: Callable[[str], None]
) -> DatedRepositories | ReplicaRepositories:
    """Those that runs delete tags of. `keep`: takes lines of an origin's audit log."""
    from registry_mesh.assembly.sources.repositories import open_repositories
    from registry_mesh.repositories.dated import DatedRepositories
    from registry_mesh.repositories.of_replica import ReplicaRepositories

    if config.role == "origin":
        return DatedRepositories(open_repositories(config, storage, keep=keep))
    return ReplicaRepositories(storage.records, storage.blobs, time.time)


async def _restored(
    repositories: DatedRepositories | ReplicaRepositories, storage: Storage, several: list[dict[str, Any]]
) -> set[str]:
    """Let tags that were deleted here point at what they pointed at; those that do again."""
    from registry_mesh.content.snapshot.records.remembered_tags import RememberedTags
    from registry_mesh.ports.place import Place
    from registry_mesh.ports.pushes import Pusher
    from registry_mesh.ports.unfollowed import forget

    remembered, back = RememberedTags(storage.records), set()
    who = Pusher(f"{getpass.getuser()} (rules undo)")
    for each in several:
        place, tag = (
            Place(RegistryName(each["registry"]), RepositoryName(each["repository"])),
            Tag(each["tag"]),
        )
        digest = await repositories.repository(place.registry, place.repository).restore(tag, who)
        await remembered.forget(place, {tag})
        await forget(storage.records, place, {tag})
        if digest is not None:
            back.add(_ref(each))
            click.echo(f"{_ref(each)} points at {digest} again")
    await remembered.flush({})
    return back


async def _put_back(config: Config, storage: Storage, several: list[dict[str, Any]]) -> set[str]:
    """Those that stand at other registries again; why the others do not is printed."""
    from registry_mesh.assembly.runs.replicator import Replicator
    from registry_mesh.oci.digest import Digest
    from registry_mesh.oci.refusals import Refusal
    from registry_mesh.ports.failures import Failure
    from registry_mesh.ports.place import Outward

    back: set[str] = set()
    if not several:
        return back
    async with Replicator(config, storage) as replicator:
        for each in {_ref(one): one for one in several}.values():
            place = Outward(RegistryName(each["registry"]), RepositoryName(each["repository"]))
            try:
                await replicator.put_back(place, Tag(each["tag"]), Digest.parse(each["digest"]))
            except (Failure, Refusal, KeyError) as fault:
                why = fault.reason if isinstance(fault, Failure | Refusal) else "it is not pushed to any more"
                click.echo(f"{_ref(each)} is not back: {why}", err=True)
                continue
            back.add(_ref(each))
            click.echo(f"{_ref(each)} points at {each['digest']} again")
    return back


def _with_companions(removed: list[dict[str, Any]], refs: tuple[str, ...]) -> list[dict[str, Any]]:
    return [each for each in removed if _ref(each) in refs or each.get("companion_of") in refs]


def _last(removed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in removed if each["at"] == removed[-1]["at"]]


def _ref(entry: dict[str, Any]) -> str:
    return f"{entry['registry']}/{entry['repository']}{named(entry['tag'])}"


def _with_store(
    config: Path,
    work: Callable[[Config, Storage], Awaitable[int]],
    roles: tuple[str, ...] = ("replica", "origin"),
) -> None:
    async def opened(loaded: Config) -> int:
        from registry_mesh.assembly.sources.storage import open_storage

        async with AsyncExitStack() as stack:
            storage = await open_storage(loaded)
            stack.push_async_callback(storage.close)
            return await work(loaded, storage)

    store_command.run(config, roles, opened)
