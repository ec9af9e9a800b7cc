"""What a push may do: which references a manifest must find, and when a tag may move. Decides, touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import Conflict, Denied, ManifestBlobUnknown, SizeInvalid
from registry_mesh.ports.pushes import Pusher

_DETAIL_LIMIT = 100  # a manifest may name 100,000 things; a client reads the first of them


@dataclass(frozen=True, slots=True)
class PushPolicy:
    """What an origin's operator decides about pushes.

    `immutable` are glob patterns of `TAG` or `REPOSITORY:TAG` (`*` also crosses `/` in the repository).
    `history` is how many changes of a tag are remembered. `grace` (seconds) is how long what was deleted can be
    brought back, and how long what nothing refers to is spared. `sparse` accepts manifests whose layers or
    children are not here, as mirrors of some platforms need it. `keep_untagged`: manifests stay until somebody deletes
    them, whether a tag points at them or not.
    """

    immutable: tuple[str, ...] = ()
    history: int = 20
    grace: float = 24 * 3600.0
    sparse: bool = False
    keep_untagged: bool = False

    def is_immutable(self, repository: RepositoryName, tag: Tag) -> bool:
        """Whether a pattern says that the tag never moves."""
        for pattern in self.immutable:
            scope, colon, tags = pattern.rpartition(":")
            if fnmatchcase(tag, tags) and (not colon or fnmatchcase(repository, scope)):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a request demands of a tag before it is changed: If-Match and If-None-Match (RFC 9110, section 13.1).
    The first compares strongly, so a weak entity tag never fits; the second weakly."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, reference: str, current: Digest | None) -> None:
        """`Conflict` where `current`, which `reference` stands for now, is not what was demanded."""
        if self.if_none_match is not None and _listed(self.if_none_match.replace("W/", ""), current):
            raise Conflict("it exists already", reference=reference, digest=str(current))
        if self.if_match is not None and not _listed(self.if_match, current):
            raise Conflict(
                "it is something else by now", reference=reference, digest=str(current) if current else None
            )


CREATE = Precondition(if_none_match="*")


def _listed(header: str, current: Digest | None) -> bool:
    listed = [each.strip() for each in header.split(",")]
    return current is not None and ("*" in listed or f'"{current}"' in listed)


def allow_move(
    policy: PushPolicy,
    repository: RepositoryName,
    tag: Tag,
    current: Digest | None,
    wanted: Digest | None,
    precondition: Precondition,
) -> None:
    """Whether `tag` may go from `current` to `wanted` (None: deleted); `Conflict` says why not."""
    precondition.check(tag, current)
    if current is not None and wanted != current and policy.is_immutable(repository, tag):
        raise Conflict("the tag is immutable here", tag=tag, digest=str(current))


def allow_tag(
    who: Pusher, repository: RepositoryName, tag: Tag, current: Digest | None, wanted: Digest
) -> None:
    """Whether `who` may let `tag`, which stands for `current` now, stand for `wanted`; `Denied` says why not. What a
    tag stands for decides, not its name: `latest` is as good as any."""
    if current is None and not who.may_create:
        raise Denied(f"{who.subject} may move tags here, and not create any", tag=tag, repository=repository)
    if current is not None and current != wanted and not who.may_move:
        raise Denied(f"{who.subject} may create tags here, and not move any", tag=tag, repository=repository)


def required_blobs(manifest: Manifest) -> dict[Digest, Descriptor]:
    """The blobs that a repository must have before it takes the manifest, each once."""
    return {each.digest: each for each in manifest.blobs() if each.distributable}


def required_manifests(manifest: Manifest) -> dict[Digest, Descriptor]:
    """The child manifests that it must have. A subject need not exist (distribution-spec, "Pushing Manifests")."""
    return {each.digest: each for each in manifest.manifests}


def refuse_missing(missing: Sequence[Descriptor]) -> None:
    """`ManifestBlobUnknown` naming what is missing, where anything is."""
    if missing:
        raise ManifestBlobUnknown(
            f"{len(missing)} of what the manifest names is not in this repository: push or mount it first",
            missing=list(_shown(missing)),
        )


def refuse_wrong_sizes(named: Iterable[Descriptor], sizes: Mapping[Digest, int]) -> None:
    """`SizeInvalid` naming the descriptors whose size is not that of what is stored, where any is: clients refuse the
    blob for it, and caches may have believed it. What `sizes` lacks is not judged."""
    wrong = [each for each in named if sizes.get(each.digest, each.size) != each.size]
    if wrong:
        first = wrong[0]
        raise SizeInvalid(
            f"the manifest says that {first.digest} has {first.size} bytes; it has {sizes[first.digest]}",
            wrong=[
                {**shown, "stored": sizes[each.digest]}
                for shown, each in zip(_shown(wrong), wrong, strict=False)
            ],
        )


def _shown(missing: Sequence[Descriptor]) -> Iterator[dict[str, object]]:
    for each in missing[:_DETAIL_LIMIT]:
        yield {"digest": str(each.digest), "mediaType": each.media_type, "size": each.size}
