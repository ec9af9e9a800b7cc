"""Every parent and the bucket of a configuration, tried step by step."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from registry_mesh.assembly.sources.parents import Parents, never_direct, way_of
from registry_mesh.assembly.sources.storage import try_bucket
from registry_mesh.config.finding import Path
from registry_mesh.config.schema import Config
from registry_mesh.config.stores import S3
from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag
from registry_mesh.ports.failures import Failure
from registry_mesh.upstream.steps import Step, reach, walk

Image = tuple[RegistryName, RepositoryName, Tag]


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one server; `key` is where the configuration names it."""

    what: str
    key: Path
    steps: tuple[Step, ...]

    @property
    def fault(self) -> Step | None:
        """The first step that failed; None where all went well."""
        return next((step for step in self.steps if not step.well), None)


async def try_all(config: Config, image: Image | None = None) -> AsyncIterator[Tried]:
    """Each parent in the order they are asked, then the bucket. With `image` only the parents of its registry, and
    some bytes of it are fetched."""
    async with Parents(config) as parents:
        for host, registry in config.registries.items():
            if image is not None and host != image[0]:
                continue
            groups = parents.groups[RegistryName(host)]
            for i, group in enumerate(registry.parents):
                for j, url in enumerate(group):
                    way = way_of(registry, [url], never=never_direct(config, registry))
                    way.admit(url)
                    login = registry.credentials is not None
                    steps = await walk(groups[i][j], way, login, image[1:] if image else None)
                    yield Tried(f"{host} by {url}", ("registries", host, "parents", i, j), tuple(steps))
    if config.store.s3 is not None:
        steps = await _bucket(config.store.s3)
        yield Tried(f"bucket {config.store.s3.bucket}", config.store.key, tuple(steps))


async def _bucket(s3: S3) -> list[Step]:
    """That it can be reached, lets us in, and does what is relied on. Two small objects are written and removed."""
    steps = []
    if s3.endpoint is not None:
        tls = ssl.create_default_context(cafile=s3.ca) if s3.ca else None
        steps = await reach(s3.endpoint, tls)
        if not steps[-1].well:
            return steps
    began = time.monotonic()
    try:
        await try_bucket(s3)
    except Failure as fault:
        return [*steps, Step("bucket", time.monotonic() - began, fault.reason, well=False)]
    return [
        *steps,
        Step("bucket", time.monotonic() - began, "is there; writes, lists and deletes as it should"),
    ]
