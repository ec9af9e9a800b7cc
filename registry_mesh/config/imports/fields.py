"""The mapping of another tool's file, read key by key: what nobody read is told in the end, by name and line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from registry_mesh.config.finding import Mark

_TRUE: Final = frozenset({"true", "yes", "on"})
_FALSE: Final = frozenset({"false", "no", "off", ""})
START: Final = Mark(1, 1)


class NotCarried(ValueError):
    """An entry cannot be said as a rule; the message is the sentence, `mark` the place of what is to blame."""

    def __init__(self, sentence: str, mark: Mark | None = None) -> None:
        super().__init__(sentence)
        self.mark = mark


class WrongFile(ValueError):
    """What stands at `mark` is in no file of the tool."""

    def __init__(self, sentence: str, mark: Mark = START) -> None:
        super().__init__(sentence)
        self.mark = mark


class Computed(str):
    """An expression that the tool works out; its text."""

    __slots__ = ()


@dataclass(eq=False, slots=True)
class Fields:
    """A mapping with the places of its keys. Each reader marks its key as read; `end` tells the first that is not."""

    values: dict[str, Any]  # Any: Fields, list, str, bool or None
    marks: dict[str, Mark] = field(default_factory=dict)
    mark: Mark = START
    path: str = ""
    read: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    below: list[Fields] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Of keys that stand elsewhere: how they are called there."""

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def place(self, key: str) -> Mark:
        """Where `key` stands, or the mapping where it has none."""
        return self.marks.get(key, self.mark)

    def name(self, key: str) -> str:
        """`tags.allow`."""
        return self.names.get(key) or (f"{self.path}.{key}" if self.path else key)

    def get(self, key: str) -> Any:
        """The value as it is."""
        self.read.add(key)
        return self.values.get(key)

    def fold(self, *names: str) -> None:
        """Spell keys as `names` do where only capitals differ: Go's JSON reads them so."""
        known = {name.lower(): name for name in names}
        for key in list(self.values):
            name = known.get(key.lower(), key)
            if name not in self.values:
                self.values[name], self.marks[name] = self.values.pop(key), self.marks.pop(key, self.mark)

    def text(self, key: str, default: str = "") -> str:
        """One text; `default` where there is none."""
        found = self.get(key)
        if found is None:
            return default
        if isinstance(found, bool):
            return str(found).lower()
        if not isinstance(found, str):
            raise self.wrong(key, "wants one text")
        return found

    def texts(self, key: str) -> list[str]:
        """A list of texts; one text stands for a list of one."""
        found = self.get(key)
        several = found if isinstance(found, list) else [] if found is None else [found]
        if any(isinstance(each, Fields | list) for each in several):
            raise self.wrong(key, "wants a list of texts")
        return [str(each).lower() if isinstance(each, bool) else str(each or "") for each in several]

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false; `yes` and `on` too, as Go's YAML reads them for a boolean."""
        found = self.get(key)
        if found is None:
            return default
        word = str(found).lower()
        if word not in _TRUE | _FALSE:
            raise self.wrong(key, "wants true or false")
        return word in _TRUE

    def number(self, key: str, default: int = 0) -> int:
        """A whole number."""
        written = self.text(key)
        try:
            return int(float(written)) if written else default
        except (ValueError, OverflowError):
            raise self.wrong(key, "wants a number") from None

    def fields(self, key: str) -> Fields:
        """The mapping at `key`, an empty one where there is none."""
        found = self.get(key)
        if found is None:
            found = Fields({}, {}, self.place(key))
        if not isinstance(found, Fields):
            raise self.wrong(key, "wants a mapping")
        return self._under(found, self.name(key))

    def items(self, key: str) -> list[Any]:
        """The list at `key`, its mappings with their place in it."""
        found = self.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self.wrong(key, "wants a list")
        return [
            self._under(each, f"{self.name(key)}[{number}]") if isinstance(each, Fields) else each
            for number, each in enumerate(found)
        ]

    def mappings(self, key: str) -> list[Fields]:
        """The list of mappings at `key`."""
        found = self.items(key)
        if not all(isinstance(each, Fields) for each in found):
            raise self.wrong(key, "wants a list of mappings")
        return found

    def _under(self, other: Fields, path: str) -> Fields:
        other.path = path
        if all(each is not other for each in self.below):
            self.below.append(other)
        return other

    def leave(self, what: str, *keys: str) -> None:
        """Leave `keys`, which are no rule's business: each that is there becomes a note, `what` says whose it is."""
        for key in keys:
            if key in self.values and key not in self.read:
                self.read.add(key)
                self.notes.append(f"{self.name(key)} (line {self.place(key).line}) {what}")

    def drop(self, *keys: str) -> None:
        """Leave what has no meaning of its own, such as the schema's version."""
        self.read.update(keys)

    def refuse(self, key: str, sentence: str) -> None:
        """`NotCarried` where `key` is there and neither empty nor false."""
        found = self.get(key)
        if found not in (None, False, "", [], "false") and not (
            isinstance(found, Fields) and not found.values
        ):
            raise NotCarried(f"{self.name(key)}: {sentence}", self.place(key))

    def wrong(self, key: str, sentence: str) -> WrongFile:
        """The fault of a value that is of another kind."""
        return WrongFile(f"{self.name(key)}: {sentence}", self.place(key))

    def gathered(self) -> tuple[str, ...]:
        """The notes from here down."""
        return (*self.notes, *(note for each in self.below for note in each.gathered()))

    def spare(self) -> None:
        """Take all from here down as read: what is said of it as a whole is said."""
        self.read |= set(self.values)
        self.below.clear()

    def end(self, known: Sequence[str] = ()) -> None:
        """`NotCarried` for the first key, here or below, that nobody read. `known`: further names that it may be a
        slip of."""
        unread = [key for key in self.values if key not in self.read]
        if unread:
            key = unread[0]
            near = difflib.get_close_matches(key, [*self.read, *known], 1)
            how = f"{near[0]} is meant, perhaps" if near else "take it out, and say by hand what it meant"
            raise NotCarried(f"{self.name(key)} is no field that is known here: {how}", self.place(key))
        for each in self.below:
            each.end()


def over(defaults: Fields, own: Fields) -> Fields:
    """`own` with what only `defaults` say; what is read of it is read of its own side."""
    values = {**defaults.values, **own.values}
    marks = {**defaults.marks, **own.marks}
    names = {key: defaults.name(key) for key in defaults.values if key not in own.values}
    return Fields(values, marks, own.mark, own.path, own.read, names=names)
