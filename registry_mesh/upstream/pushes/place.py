"""One repository of a registry that is pushed to: how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.failures import SourceRefused
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.repository import ParentRepository


@dataclass(frozen=True, slots=True)
class PushPlace:
    """`registry` is its name here; `parent` is the same repository as it is read."""

    registry: RegistryName
    parent: ParentRepository

    @property
    def name(self) -> RepositoryName:
        """The repository, as the registry calls it."""
        return self.parent.name

    @property
    def source(self) -> str:
        """The registry, for people."""
        return self.parent.source

    @property
    def url(self) -> str:
        """The registry's own address."""
        return self.parent.session.url

    @property
    def uploads(self) -> str:
        """The path where uploads begin."""
        return Endpoint.UPLOADS.path(self.name)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        query: Mapping[str, str] | None = None,
        also: RepositoryName | None = None,
        beyond: float = 0.0,
    ) -> AbstractAsyncContextManager[Answer]:
        """An answer, as `ParentSession.request` gives it, with the right to push; `also`: a repository to be read."""
        right = "pull,push,delete" if method == "DELETE" else "pull,push"
        scope = f"repository:{self.name}:{right}" + (f" repository:{also}:pull" if also is not None else "")
        return self.parent.session.request(
            method,
            path,
            scope=scope,
            query={**self.parent.query, **(query or {})},
            headers=headers,
            body=body,
            beyond=beyond,
        )

    def expect(self, answer: Answer, *statuses: int) -> None:
        """Raise `SourceRefused` for any other status. 404 of a repository: some registries want it made beforehand."""
        if answer.status in statuses:
            return
        if answer.status == 404:
            raise SourceRefused(
                f"answered 404: {self.name} is to be made there before it can be pushed to",
                source=self.source,
            )
        raise SourceRefused(f"answered {answer.status} to a push", source=self.source)
