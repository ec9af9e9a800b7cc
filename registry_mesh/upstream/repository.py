"""One repository of one parent: how it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.reference import RepositoryName
from registry_mesh.oci.refusals import Refusal
from registry_mesh.ports.blobs import Provenance
from registry_mesh.ports.failures import Failure, SourceRefused
from registry_mesh.ports.hops import ONLY_IF_CACHED, SIBLING
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.heads import PATIENCE, leaves_it_to_get
from registry_mesh.upstream.requests import Hung
from registry_mesh.upstream.session import ParentSession


@dataclass(frozen=True, slots=True)
class ParentRepository:
    """`query` and `fields` are sent with every request."""

    session: ParentSession
    name: RepositoryName
    query: Mapping[str, str]
    fields: Mapping[str, str] = field(default_factory=dict)
    registry: str = ""
    """Whose it is."""

    @property
    def source(self) -> str:
        """The parent's name."""
        return self.session.name

    @property
    def scope(self) -> str:
        """What a token has to allow: to pull from this repository."""
        return f"repository:{self.name}:pull"

    @property
    def takes_beginnings(self) -> bool:
        """Whether the beginning of a span is an answer, too: another server of the site gives what it holds."""
        return dict([SIBLING, ONLY_IF_CACHED]).items() <= self.fields.items()

    @property
    def here(self) -> Provenance:
        """The provenance of what this parent gives."""
        return Provenance(hit=False, source=self.source)

    def request(
        self,
        method: str,
        endpoint: Endpoint,
        reference: str,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        beyond: float = 0.0,
    ) -> AbstractAsyncContextManager[Answer]:
        """An answer, as `ParentSession.request` gives it."""
        path = endpoint.path(self.name, reference)
        sent = {**self.fields, **headers} if headers else self.fields
        return self.session.request(
            method,
            path,
            scope=self.scope,
            query={**self.query, **(query or {})},
            headers=sent,
            beyond=beyond,
            registry=self.registry,
        )

    def leaves_to_get(self, fault: Failure) -> bool:
        """Return whether GET is to be asked where HEAD failed so."""
        parent = self.session.parent
        return leaves_it_to_get(fault, mesh=parent.mesh is True, available=parent.available)

    def expect(self, answer: Answer, status: int, unknown: type[Refusal]) -> None:
        """Raise `unknown` for 404 and a failure for any other status than the one expected."""
        if answer.status == 404:
            raise unknown(f"{self.source} does not have it")
        if answer.status != status:
            raise SourceRefused(f"answered {answer.status}", source=self.source)

    def beyond(self, fault: Failure | None) -> float:
        """Return the seconds by which GET may take longer than usual where HEAD failed so: where that was waited for in
        vain it may take less, so that both together take no longer than one."""
        return -self.session.parent.patience.head / PATIENCE if isinstance(fault, Hung) else 0.0
