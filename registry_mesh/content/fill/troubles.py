"""What went wrong in a fill, and whom it is told."""

from __future__ import annotations

from registry_mesh.content.fill.via import Via
from registry_mesh.ports.failures import Failure, bare


class Troubles:
    """Of one fill. Readers of now are told of a failure; for later ones it is tried again."""

    def __init__(self) -> None:
        self.epoch = 0
        """How many failures there were."""
        self._failures: dict[
            str, tuple[Exception, int]
        ] = {}  # registry → the last, its epoch; "": everybody's
        self._stumbles: dict[str, Failure] = {}  # registry → what last broke a stream

    @property
    def told(self) -> bool:
        """Whether anybody was told of a failure."""
        return bool(self._failures)

    def fail(self, failure: Exception, via: Via | None = None) -> None:
        """Readers are told of it: those through the registry of `via` alone, where one is given."""
        self.epoch += 1
        self._failures[via.registry if via is not None else ""] = bare(failure), self.epoch

    def give_up(self, failure: Exception, via: Via) -> None:
        """A transfer has ended with `failure`: its readers are told of what last broke a stream, which says more."""
        last = self._stumbles.get(via.registry)
        self.fail(last if last is not None and isinstance(failure, Failure) else failure, via)

    def stumble(self, failure: Failure, via: Via) -> None:
        """A stream broke, or was wrong; its transfer goes on elsewhere if it can."""
        self._stumbles[via.registry] = bare(failure)

    def since(self, registry: str, epoch: int) -> Exception | None:
        """What a reader through `registry` is told that knows of the first `epoch` failures; None: nothing new."""
        for key in (registry, ""):
            failure, when = self._failures.get(key, (None, 0))
            if failure is not None and epoch < when:
                return bare(failure)
        return None

    def strip(self) -> None:
        """Let what is kept of failures keep no frames of those that raised it last."""
        for failure in (*(failure for failure, _ in self._failures.values()), *self._stumbles.values()):
            bare(failure)
