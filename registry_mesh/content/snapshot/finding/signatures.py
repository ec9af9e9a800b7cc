"""Who signed what a tag points at: asked of its source, judged by `catalog`.

Signatures are looked for where cosign and notation put them: cosign's tag, and what refers to the digest.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from registry_mesh.catalog.signer import CosignSigner, IdentitySigner, NotationSigner, NotSigned, Signer
from registry_mesh.content.snapshot.finding.asking import Asking
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
        names = sorted({name for each in wanted for name in each.by})
        faults: dict[str, list[str]] = {name: [] for name in names}  # and what does not count for each
        async with aclosing(self._signatures(source, refer, tagged)) as signatures:
            async for signature in signatures:
                for name in [n for n, why in faults.items() if self._counts(signature, n, root, now, why)]:
                    del faults[name]
                if not faults:
                    break
        why = [each for name, found in faults.items() for each in found or [self._nothing_of(name)]]
        return Signed(frozenset(names) - faults.keys(), frozenset(has), _told(why))

    def _counts(self, signature: _Signature, name: str, root: Digest, now: float, why: list[str]) -> bool:
        """Whether it is by that signer; where it is not, `why` has what is wrong with one of the signer's kind."""
        signer = self.signers.get(name)
        try:
            return signer is not None and _check(signature, root, signer, now)
        except NotSigned as fault:
            why.append(f"a signature {fault}")
            return False

    def _nothing_of(self, name: str) -> str:
        if name in self.signers:
            return "no signature of its kind is there"
        return f"{name} {self.lacking.get(name, 'is no key of the configuration')}"

    async def _referrers(self, source: Repository, root: Digest, tagged: bool) -> tuple[Descriptor, ...]:
        return (
            await self.asking.ask(source.registry, lambda: source.referrers.referrers(root, tagged))
        ).descriptors

    async def _signatures(
        self, source: Repository, refer: Iterable[Descriptor], tagged: Iterable[Tag]
    ) -> AsyncGenerator[_Signature, None]:
        """One after the other, at most `MAX_SIGNATURES`. One that is broken hides no other."""
        digests = [each.digest for each in refer if _SIGNATURES.takes(each.artifact_type or each.media_type)]
        for tag in tagged:
            if _SIGNATURES.takes_tag(tag):
                resolve = partial(source.tags.resolve, tag)
                digests.append((await self.asking.ask(source.registry, resolve)).descriptor.digest)
        left = MAX_SIGNATURES
        for digest in digests[:MAX_SIGNATURES]:
            try:
                manifest = await self._manifest(source, digest)
            except (Refusal, SourceLied) as fault:
                yield _Signature(fault=f"{digest} cannot be read: {fault.reason}")
                continue
            for layer in _layers(manifest)[:left]:
                left -= 1
                yield await self._layer(source, layer)

    async def _manifest(self, source: Repository, digest: Digest) -> Manifest:
        fetched = await self.asking.ask(source.registry, lambda: source.manifests.manifest(digest))
        _demand(fetched.manifest.data, digest, source)
        return fetched.manifest

    async def _layer(self, source: Repository, layer: Descriptor) -> _Signature:
        async def read() -> bytes:
            async with source.blobs.open(layer.digest) as reading:
                return await whole(reading, MAX_SIZE)

        try:
            data = await self.asking.ask(source.registry, read)
            _demand(data, layer.digest, source)
        except (Refusal, SourceLied) as fault:
            return _Signature(fault=f"{layer.digest} cannot be read: {fault.reason}")
        return _Signature(layer.media_type, data, layer.annotations)


def _layers(manifest: Manifest) -> list[Descriptor]:
    from registry_mesh.catalog import cosign, notation

    kinds = (cosign.SIMPLE_SIGNING, notation.JWS, notation.COSE)
    found = [e for e in manifest.layers if e.media_type in kinds or e.media_type.startswith(cosign.BUNDLE)]
    return [each for each in found if each.size <= MAX_SIZE]


def _check(signature: _Signature, root: Digest, signer: Signer, now: float) -> bool:
    """Whether it is of the signer's kind, and right; `NotSigned`."""
    from registry_mesh.catalog import cosign, keyless, notation

    if signature.fault:
        raise NotSigned(signature.fault)
    match signer:
        case CosignSigner(keys) if signature.media_type == cosign.SIMPLE_SIGNING:
            cosign.check_simple(signature.data, signature.annotations.get(cosign.SIGNATURE), root, keys)
        case CosignSigner(keys) if signature.media_type.startswith(cosign.BUNDLE):
            cosign.check_bundle(signature.data, root, keys)
        case IdentitySigner() if keyless.CERTIFICATE in signature.annotations:
            raise NotSigned(keyless.OLDER_FORM)
        case IdentitySigner() if signature.media_type.startswith(cosign.BUNDLE):
            keyless.check_identity(signature.data, root, signer)
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
