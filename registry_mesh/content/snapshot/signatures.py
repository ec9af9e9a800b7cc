"""Who signed what a tag points at: asked of its source, judged by `catalog`.

Signatures are looked for where cosign and notation put them: cosign's tag, and what refers to the digest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from registry_mesh.catalog.signer import CosignSigner, NotationSigner, NotSigned, Signer
from registry_mesh.content.snapshot.asking import Asking
from registry_mesh.oci.descriptor import Descriptor
from registry_mesh.oci.digest import Digest
from registry_mesh.oci.manifest import Manifest
from registry_mesh.oci.reference import Tag, referrers_tag
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.failures import SourceLied
from registry_mesh.ports.pieces import whole
from registry_mesh.ports.repositories import Repository
from registry_mesh.replication.companions import Companions
from registry_mesh.replication.terms import Verify
from registry_mesh.replication.wanted import companions

MAX_SIGNATURES: Final = 100
"""Of one digest; more are not looked at."""
MAX_SIZE: Final = 1 << 20
"""Bytes of one signature."""
_NAMED: Final = 3
_SIGNATURES: Final = Companions(frozenset({"signatures"}))


@dataclass(frozen=True, slots=True)
class Signed:
    """Which of the wanted signers signed a digest, which of the wanted companions it has, and what was found of
    signatures that do not count."""

    by: frozenset[str] = frozenset()
    has: frozenset[str] = frozenset()
    found: str = ""


@dataclass(frozen=True, slots=True)
class _Signature:
    """What one layer of a signature's manifest holds."""

    media_type: str = ""
    data: bytes = b""
    annotations: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Signatures:
    """Asks sources for signatures. `signers` by the names that rules use; `lacking`: why a signer cannot be used."""

    asking: Asking
    signers: Mapping[str, Signer] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)

    async def look(
        self, source: Repository, root: Digest, tags: Collection[Tag], wanted: Iterable[Verify], now: float
    ) -> Signed:
        """`tags` are those of the repository. `Failure` and `Refusal` where its source cannot tell: which is not that
        nobody signed."""
        wanted = tuple(wanted)
        tagged = companions(tags).get(root, ())
        refer = (await self._referrers(source, root, referrers_tag(root) in tags)) if wanted else ()
        kinds = {kind for each in wanted for kind in each.having}
        has = {kind for kind in kinds if _has(kind, refer, tagged)}
        signatures = await self._signatures(source, refer, tagged)
        by, why = set(), list[str]()
        for name in sorted({name for each in wanted for name in each.by}):
            faults = self._faults(name, signatures, root, now)
            by |= set() if faults else {name}
            why += faults or []
        return Signed(frozenset(by), frozenset(has), _told(why))

    def _faults(
        self, name: str, signatures: Iterable[_Signature], root: Digest, now: float
    ) -> list[str] | None:
        """Why none of the signatures is by that signer; None where one is."""
        signer = self.signers.get(name)
        if signer is None:
            return [f"{name} {self.lacking.get(name, 'is no key of the configuration')}"]
        found = []
        for each in signatures:
            try:
                if _check(each, root, signer, now):
                    return None
            except NotSigned as fault:
                found.append(f"a signature {fault}")
        return found or ["no signature of its kind is there"]

    async def _referrers(self, source: Repository, root: Digest, tagged: bool) -> tuple[Descriptor, ...]:
        return (
            await self.asking.ask(source.registry, lambda: source.referrers.referrers(root, tagged))
        ).descriptors

    async def _signatures(
        self, source: Repository, refer: Iterable[Descriptor], tagged: Iterable[Tag]
    ) -> list[_Signature]:
        digests = [each.digest for each in refer if _SIGNATURES.takes(each.artifact_type or each.media_type)]
        for tag in tagged:
            if _SIGNATURES.takes_tag(tag):
                resolve = partial(source.tags.resolve, tag)
                digests.append((await self.asking.ask(source.registry, resolve)).descriptor.digest)
        found: list[_Signature] = []
        for digest in digests[:MAX_SIGNATURES]:
            found += await self._layers(source, digest)
        return found[:MAX_SIGNATURES]

    async def _layers(self, source: Repository, digest: Digest) -> list[_Signature]:
        """Of one manifest. One that is broken hides no other."""
        try:
            fetched = await self.asking.ask(source.registry, lambda: source.manifests.manifest(digest))
            manifest = fetched.manifest
            _demand(manifest.data, digest, source)
            return [await self._layer(source, each) for each in _layers(manifest)]
        except (Refusal, SourceLied) as fault:
            return [_Signature(fault=f"{digest} cannot be read: {fault.reason}")]

    async def _layer(self, source: Repository, layer: Descriptor) -> _Signature:
        async def read() -> bytes:
            async with source.blobs.open(layer.digest) as reading:
                return await whole(reading, MAX_SIZE)

        data = await self.asking.ask(source.registry, read)
        _demand(data, layer.digest, source)
        return _Signature(layer.media_type, data, layer.annotations)


def _layers(manifest: Manifest) -> list[Descriptor]:
    from registry_mesh.catalog import cosign, notation

    kinds = (cosign.SIMPLE_SIGNING, notation.JWS, notation.COSE)
    found = [e for e in manifest.layers if e.media_type in kinds or e.media_type.startswith(cosign.BUNDLE)]
    return [each for each in found if each.size <= MAX_SIZE][:MAX_SIGNATURES]


def _check(signature: _Signature, root: Digest, signer: Signer, now: float) -> bool:
    """Whether it is of the signer's kind, and right; `NotSigned`."""
    from registry_mesh.catalog import cosign, notation

    if signature.fault:
        raise NotSigned(signature.fault)
    match signer:
        case CosignSigner(keys) if signature.media_type == cosign.SIMPLE_SIGNING:
            cosign.check_simple(signature.data, signature.annotations.get(cosign.SIGNATURE), root, keys)
        case CosignSigner(keys) if signature.media_type.startswith(cosign.BUNDLE):
            cosign.check_bundle(signature.data, root, keys)
        case NotationSigner() if signature.media_type == notation.JWS:
            notation.check_jws(signature.data, root, signer, now)
        case NotationSigner() if signature.media_type == notation.COSE:
            raise NotSigned("is a COSE envelope, and JWS is read: sign with --signature-format jws")
        case _:
            return False
    return True


def _demand(data: bytes, digest: Digest, source: Repository) -> None:
    if Digest.of(data, digest.algorithm) != digest:
        raise SourceLied(f"other bytes than those of {digest}", source=str(source.registry))


def _has(kind: str, refer: Iterable[Descriptor], tagged: Iterable[Tag]) -> bool:
    one = Companions(frozenset({kind}))
    return any(one.takes(each.artifact_type or each.media_type) for each in refer) or any(
        map(one.takes_tag, tagged)
    )


def _told(why: list[str]) -> str:
    told = list(dict.fromkeys(why))
    return "; ".join(told[:_NAMED]) + ("; …" if len(told) > _NAMED else "")
