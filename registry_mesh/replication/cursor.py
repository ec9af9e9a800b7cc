"""A place in a text that is being parsed."""

from __future__ import annotations


class Cursor:
    """`at` is where it stands in `text`; `depth` how many groups are open there."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.text)

    @property
    def peek(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, prefix: str) -> bool:
        """Go past `prefix`, where it stands here; whether it does."""
        if not self.text.startswith(prefix, self.at):
            return False
        self.at += len(prefix)
        return True
