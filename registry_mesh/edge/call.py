"""What a request asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from registry_mesh.edge.target import NO_QUERY, Query
from registry_mesh.oci.endpoints import Endpoint
from registry_mesh.oci.reference import RegistryName, RepositoryName
from registry_mesh.ports.pushes import Pusher
from registry_mesh.ports.repositories import Repository
from registry_mesh.ports.role import Role


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked for, taken apart and checked; `repository` is None for end points outside of any."""

    role: Role
    endpoint: Endpoint
    reference: str = ""
    query: Query = NO_QUERY
    registry: RegistryName | None = None
    """As the request named it."""
    meant: RegistryName | None = None
    """The same, or the listener's default; None: the role's."""
    by_path: bool = False
    """Named as the first component of the path, not by `ns=`."""
    prefix: str = ""
    """Path under which a proxy before us offers `/v2/`."""
    name: RepositoryName = RepositoryName("")  # noqa: RUF009 - a NewType of str
    repository: Repository | None = None
    who: Pusher = field(default_factory=Pusher)

    def path(self, rest: str, **params: str) -> str:
        """The path, with a query, of `rest` in the same repository; it goes on naming the same registry."""
        prefix = (
            f"{self.prefix}/v2/{self.registry}" if self.registry and self.by_path else f"{self.prefix}/v2"
        )
        if self.registry and not self.by_path:
            params["ns"] = self.registry
        path = f"{prefix}/{self.name}/{rest}" if self.name else f"{prefix}/{rest}"
        return f"{path}?{urlencode(params)}" if params else path

    def location(self, rest: str) -> tuple[str, str]:
        """The `Location` field for `rest` below this repository."""
        return ("Location", self.path(rest))
