"""One repository of a registry that is pushed to: how it is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.failures import Failure, SourceDenied, SourceRefused, SourceUnavailable
from registry_mesh.upstream.answer import Answer
from registry_mesh.upstream.health.explained import printable
from registry_mesh.upstream.repository import ParentRepository
from registry_mesh.upstream.requests import Body

_SAID: Final = 4096
"""Bytes that are read of what a registry says of a refusal."""


class TooLarge(SourceRefused):
    """The registry, or a proxy before it, takes no body as large as that (413)."""


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

    @asynccontextmanager
    async def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        *,
        query: Mapping[str, str] | None = None,
        also: RepositoryName | None = None,
        beyond: float = 0.0,
    ) -> AsyncIterator[Answer]:
        """An answer, as `ParentSession.request` gives it, with the right to push; `also`: a repository to be read.
        `SourceDenied` says that it is about a push."""
        right = "pull,push,delete" if method == "DELETE" else "pull,push"
        scope = f"repository:{self.name}:{right}" + (f" repository:{also}:pull" if also is not None else "")
        try:
            async with self.parent.session.request(
                method,
                path,
                scope=scope,
                query={**self.parent.query, **(query or {})},
                headers=headers,
                body=body,
                beyond=beyond,
            ) as answer:
                yield answer
        except SourceDenied as denied:
            why = f"does not let this node push to {self.name}: {denied.reason}"
            raise SourceDenied(why, source=denied.source, retry_after=denied.retry_after) from None

    @asynccontextmanager
    async def looked(self, endpoint: Endpoint, reference: str) -> AsyncIterator[Answer]:
        """The answer to HEAD. `SourceDenied` says that it is about a repository that is pushed to."""
        try:
            accept = {"Accept": "*/*"} if endpoint is Endpoint.MANIFEST else None
            async with self.parent.request("HEAD", endpoint, reference, accept) as answer:
                yield answer
        except SourceDenied as denied:
            why = f"does not let this node see what is in {self.name}: {denied.reason}"
            await self._ask_why()
            raise SourceDenied(why, source=denied.source, retry_after=denied.retry_after) from None

    async def _ask_why(self) -> None:
        """Raise `SourceDenied` in the registry's words, which an answer to HEAD does not have."""
        with suppress(SourceUnavailable):
            async with self.request("GET", Endpoint.TAGS.path(self.name), query={"n": "1"}):
                return

    async def expect(self, answer: Answer, what: str, *statuses: int, size: int = 0) -> None:
        """Raise `SourceRefused` for any other status: to `what`, of which a body of `size` bytes was sent. 404 to the
        beginning of an upload: some registries want a repository made beforehand."""
        if answer.status in statuses:
            return
        if answer.status == 413:
            raise TooLarge(
                f"answered 413 to {what} of {size} bytes: it, or a proxy before it, takes no request as large as that; "
                "its limit is to be raised (nginx: client_max_body_size)",
                source=self.source,
            )
        told = await said(answer)
        if answer.status == 404 and what == UPLOAD:
            why = f"answered 404: {self.name} is to be made there before it can be pushed to"
        else:
            why = f"answered {answer.status} to {what}"
        raise SourceRefused(why + told, source=self.source)


UPLOAD: Final = "an upload"
"""The beginning of one."""


async def said(answer: Answer) -> str:
    """What the registry says of a refusal (distribution-spec, "Error Codes"); empty where nothing can be read."""
    try:
        errors = json.loads(await answer.body(_SAID))["errors"]
        told = "; ".join(f"{each['code']} {each.get('message', '')}".strip() for each in errors[:3])
    except (Failure, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""
    return f": {printable(told)}"
