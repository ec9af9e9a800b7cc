"""Parents: what a node knows of the registries that it fetches from."""

from __future__ import annotations

from typing import Protocol

from registry_mesh.ports.repositories import RegistrySource


class Health(Protocol):
    """Whether a parent answers."""

    @property
    def available(self) -> bool:
        """False while it is known to be down: asking it would only cost time."""
        ...

    @property
    def reason(self) -> str:
        """Why it is not available, since when, and when it is asked again; empty while it is."""
        ...

    async def back(self) -> bool:
        """Whether it answers again, as a short question shows, though it is not available; a parent that leaves
        questions unanswered is not asked again and again. To be asked where nobody else can give what is wanted."""
        ...

    @property
    def confirmed(self) -> bool:
        """Whether it answered lately, and nothing was amiss since."""
        ...


class Pace(Protocol):
    """How fast a parent answers."""

    @property
    def lost(self) -> bool:
        """It gave no answer of any kind, not even an error, when it was asked last."""
        ...

    @property
    def distance(self) -> float:
        """Seconds to an answer's head when nothing keeps it: what its quickest ones took of late; 0.0 before the
        first."""
        ...

    @property
    def hush(self) -> float:
        """Seconds for which a body may bring next to nothing before another parent is asked to go on with it."""
        ...

    @property
    def late(self) -> float:
        """Seconds after which an answer is so late that another parent is asked beside this one."""
        ...

    @property
    def load(self) -> float:
        """Smaller is better; for choosing among the members of a group."""
        ...


class Spare(Protocol):
    """Whether a parent is asked beside another, and what is known of it that decides so."""

    @property
    def soon(self) -> float:
        """Seconds after which an answer's head, or the first bytes of a body, are later than nearly all of its were."""
        ...

    @property
    def spare(self) -> bool:
        """Whether it may be asked for what another may well give: it has not asked for patience, and what it allows is
        not nearly used up."""
        ...

    @property
    def mesh(self) -> bool | None:
        """Whether it is a node of the mesh; None: it has not answered yet."""
        ...

    def outran(self, what: str, seconds: float) -> None:
        """Have it asked after the others for `what`, by every process of the node, for so many seconds."""
        ...

    def outrun(self, what: str) -> bool:
        """Whether it is to be asked after the others for `what`, as any process of the node has seen."""
        ...


class Traffic(Protocol):
    """What comes from a parent."""

    @property
    def received(self) -> int:
        """Bytes of all its bodies so far, as this process received them."""
        ...

    @property
    def inflight(self) -> int:
        """Requests to it that are under way, their bodies included."""
        ...

    @property
    def busy(self) -> bool:
        """Whether clients, of any process of the node, wait for what it sends now."""
        ...


class Parent(Health, Pace, Spare, Traffic, Protocol):
    """One place to fetch from, and how it is doing."""

    @property
    def name(self) -> str:
        """What operators call it."""
        ...


class ParentRegistry(RegistrySource, Protocol):
    """One parent's offer of one registry: what `upstream.registry` makes."""

    @property
    def parent(self) -> Parent:
        """What is known of the parent, and asked before a request goes there."""
        ...
