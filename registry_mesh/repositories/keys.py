"""Where a repository's documents lie in `ports.Records`: the one place that spells these keys.

    repositories/<name>/_repository                          it exists: something was pushed to it
    repositories/<name>/_tags/<tag>/<number>                 tag log (`tag_log`)
    repositories/<name>/_untagged/<tag>/<token>              may be deleted: listing looks at the log
    repositories/<name>/_tagged/<alg>/<hex>/<tag>            the tag may point, or have pointed, there
    repositories/<name>/_manifests/<alg>/<hex>               a manifest of the repository
    repositories/<name>/_deleted/<alg>/<hex>                 a manifest that was, until its grace is over
    repositories/<name>/_blobs/<alg>/<hex>                   a blob of the repository
    repositories/<name>/_referrers/<alg>/<hex>/<alg>-<hex>   a referrer of the first digest
    digests/<alg>/<hex>/<number>                             life of a digest (`lifecycle`)
    loose/<alg>/<hex>                                        a collection found that nothing refers to it
    linked/<alg>/<hex>/<name>/_here                          a repository that may hold the digest

No component of a repository's name begins with `_`, so names and documents never meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.digest import Digest
from registry_mesh.oci.reference import RepositoryName, Tag
from registry_mesh.oci.refusals import DigestInvalid

REPOSITORIES: Final = "repositories/"
DIGESTS: Final = "digests/"
LOOSE: Final = "loose/"


@dataclass(frozen=True, slots=True)
class RepositoryKeys:
    """The keys of one repository."""

    name: RepositoryName

    @property
    def root(self) -> str:
        """The prefix of everything of the repository."""
        return f"{REPOSITORIES}{self.name}/"

    @property
    def existence(self) -> str:
        """The record that says the repository exists."""
        return f"{self.root}_repository"

    @property
    def tags(self) -> str:
        """The prefix of all tag logs."""
        return f"{self.root}_tags/"

    def tag(self, tag: Tag | str) -> str:
        """The prefix of one tag's log."""
        return f"{self.tags}{tag}/"

    @property
    def untagged(self) -> str:
        """The prefix of notes about tags that may have been deleted."""
        return f"{self.root}_untagged/"

    def tagged(self, digest: Digest) -> str:
        """The prefix of the tags that may point at a digest."""
        return f"{self.root}_tagged/{_path(digest)}/"

    @property
    def pinned(self) -> str:
        """The prefix of the manifests that are kept though no tag points at them."""
        return f"{self.root}_pinned/"

    def pin(self, digest: Digest) -> str:
        """The record that keeps one."""
        return f"{self.pinned}{_path(digest)}"

    @property
    def manifests(self) -> str:
        """The prefix of all manifests."""
        return f"{self.root}_manifests/"

    def manifest(self, digest: Digest) -> str:
        """The record of one manifest."""
        return f"{self.manifests}{_path(digest)}"

    @property
    def deleted(self) -> str:
        """The prefix of manifests deleted within the grace."""
        return f"{self.root}_deleted/"

    def deleted_manifest(self, digest: Digest) -> str:
        """The record of one deleted manifest."""
        return f"{self.deleted}{_path(digest)}"

    @property
    def blobs(self) -> str:
        """The prefix of all blobs."""
        return f"{self.root}_blobs/"

    def blob(self, digest: Digest) -> str:
        """The record of one blob."""
        return f"{self.blobs}{_path(digest)}"

    @property
    def referrers(self) -> str:
        """The prefix of all referrers."""
        return f"{self.root}_referrers/"

    def referrers_of(self, subject: Digest) -> str:
        """The prefix of one subject's referrers."""
        return f"{self.referrers}{_path(subject)}/"

    def referrer(self, subject: Digest, referrer: Digest) -> str:
        """The record of one referrer of one subject."""
        return f"{self.referrers_of(subject)}{referrer.algorithm}-{referrer.hex}"

    def linked(self, digest: Digest) -> str:
        """The record that says this repository may hold the digest."""
        return f"{linked(digest)}{self.name}/_here"


def life(digest: Digest) -> str:
    """The prefix of a digest's life."""
    return f"{DIGESTS}{_path(digest)}/"


def loose(digest: Digest) -> str:
    """The record that a collection found nothing refers to the digest."""
    return f"{LOOSE}{_path(digest)}"


def linked(digest: Digest) -> str:
    """The prefix of the repositories that may hold the digest."""
    return f"linked/{_path(digest)}/"


def linked_name(digest: Digest, key: str) -> RepositoryName:
    """The repository that a key below `linked` names."""
    return RepositoryName(key.removeprefix(linked(digest)).removesuffix("/_here"))


def digest_of(key: str) -> Digest | None:
    """The digest that the last two components of a key spell (or the last one, as `<alg>-<hex>`)."""
    parts = key.rsplit("/", 2)
    algorithm, encoded = parts[-2:] if "-" not in parts[-1] else parts[-1].split("-", 1)
    try:
        return Digest.parse(f"{algorithm}:{encoded}")
    except DigestInvalid:
        return None


def _path(digest: Digest) -> str:
    return f"{digest.algorithm}/{digest.hex}"
