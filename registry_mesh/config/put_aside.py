"""What stands in the place of values that are told to be wrong, so that no later check takes them for something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from registry_mesh.config.finding import Path


class _Wrong:
    """There, and of no kind: no text, number, list or mapping. It has nothing in it."""

    def __iter__(self) -> Iterator[Any]:  # Any: nothing comes
        return iter(())


WRONG: Final = _Wrong()


def put_aside(value: Any, paths: Iterable[Path]) -> Any:  # Any: a YAML value
    """`value` with `WRONG` at each of `paths`. What lies on the way there is made anew, for anchors share it."""
    for path in paths:
        value = _without(value, path)
    return value


def _without(value: Any, path: Path) -> Any:
    if not path:
        return WRONG
    first, rest = path[0], path[1:]
    if isinstance(value, dict) and first in value:
        return {**value, first: _without(value[first], rest)}
    if isinstance(value, list) and isinstance(first, int) and first < len(value):
        return [*value[:first], _without(value[first], rest), *value[first + 1 :]]
    return value
