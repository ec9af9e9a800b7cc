"""Resources of Terraform: its language where values are written out, and what `terraform show -json` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from registry_mesh.config.finding import Mark
from registry_mesh.config.imports.fields import Computed, Fields, NotCarried, WrongFile
from registry_mesh.config.imports.source import documents

COMPUTED: Final = "Terraform variables: run terraform show -json and import that"
_WRITE: Final = "CloudFormation works it out: write the value"
META: Final = ("provider", "depends_on", "lifecycle", "region", "id", "tags", "tags_all", "timeouts")
_TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)|(?P<line>\n)|(?P<text>"(?:\\.|\$\{[^}\n]*\}|[^"\\\n])*")"""
    r"""|(?P<heredoc><<-?\s*(?P<end>\w+)\n.*?\n\s*(?P=end)\b)|(?P<word>[\w.*-]+(?:\[[^\]\n]*\][\w.]*)*)"""
    r"""|(?P<sign>=>|[=!<>]=|&&|\|\||.)""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, with its attributes and blocks; a block that may stand several times is a list."""

    kind: str
    name: str
    fields: Fields

    @property
    def address(self) -> str:
        """`KIND.NAME`."""
        return f"{self.kind}.{self.name}"

    def literal(self, key: str) -> str:
        """The text of an attribute; `NotCarried` where Terraform works it out."""
        return literal(self.fields, key)


def literal(fields: Fields, key: str) -> str:
    """The text of an attribute; `NotCarried` where Terraform works it out."""
    found = fields.get(key)
    if isinstance(found, Computed):
        how = _WRITE if found.startswith("!") else COMPUTED
        raise NotCarried(f"{fields.name(key)} = {found}: {how}", fields.place(key))
    return fields.text(key)


def is_terraform(text: str) -> bool:
    """Whether the text is of Terraform's language."""
    return (
        re.search(r"^\s*(resource|module|locals|variable|data|provider)\b[^:=]*\{", text, re.MULTILINE)
        is not None
    )


def shown(document: Fields) -> list[Resource] | None:
    """The resources of what `terraform show -json` prints; None where it is something else."""
    root = document.values.get("values") or document.values.get("planned_values")
    if not isinstance(root, Fields) or "root_module" not in root:
        return None
    return list(_module(root.fields("root_module")))


def _module(module: Fields) -> Iterator[Resource]:
    for each in module.mappings("resources"):
        values = each.fields("values")
        several = {key: found for key, found in values.values.items() if found not in (None, [], "")}
        name = each.text("address").removeprefix(f"{each.text('type')}.") or each.text("name")
        yield Resource(each.text("type"), name, Fields(several, values.marks, each.mark))
    for child in module.mappings("child_modules"):
        yield from _module(child)


def resources(text: str) -> list[Resource]:
    """The resources of a text, in its language or as JSON; of its language the providers too, as of kind `provider`."""
    if is_terraform(text):
        return list(_Reader(text).resources())
    found = documents(text)
    if len(found) == 1 and isinstance(found[0], Fields):
        return shown(found[0]) or []
    return []


class _Reader:
    """Blocks and attributes, by what they begin and end with; expressions are kept as their text."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, Mark]] = []
        line, start = 1, 0
        for found in _TOKEN.finditer(text):
            kind = found.lastgroup or "sign"
            kind = "heredoc" if found["heredoc"] else kind
            if kind != "space":
                self._tokens.append((kind, found[0], Mark(line, found.start() - start + 1)))
            if newlines := found[0].count("\n"):
                line, start = line + newlines, found.start() + found[0].rfind("\n") + 1
        self._at = 0
        self._end = Mark(line, 1)

    def resources(self) -> Iterator[Resource]:
        body = self._body(top=True)
        for block in body.values.pop("", []):
            words, fields = block
            if words[:1] == ["resource"] and len(words) == 3:
                yield Resource(words[1], words[2], fields)
            elif words[:1] == ["provider"] and len(words) == 2:
                yield Resource(words[0], words[1], fields)

    def _peek(self) -> tuple[str, str, Mark]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "", self._end)

    def _next(self) -> tuple[str, str, Mark]:
        found = self._peek()
        self._at += 1
        return found

    def _lines(self) -> None:
        while self._peek()[0] == "line" or self._peek()[1] == ",":
            self._at += 1

    def _body(self, *, top: bool = False, mark: Mark | None = None) -> Fields:
        found = Fields({}, {}, mark or self._peek()[2])
        blocks: list[tuple[list[str], Fields]] = []
        while True:
            self._lines()
            kind, text, place = self._next()
            if kind == "end" and top:
                break
            if text == "}" and not top:
                break
            if kind not in ("word", "text"):
                raise WrongFile(f"not Terraform: {text or 'the end'} stands where a name or }} should", place)
            self._statement(found, blocks, text.strip('"'), place, top=top)
        if top:
            found.values[""] = blocks
        return found

    def _statement(
        self, found: Fields, blocks: list[tuple[list[str], Fields]], name: str, place: Mark, *, top: bool
    ) -> None:
        words = [name]
        while self._peek()[0] in ("word", "text"):
            words.append(self._next()[1].strip('"'))
        sign = self._next()
        if sign[1] == "{":
            inner = self._body(mark=place)
            if top:
                blocks.append((words, inner))
            else:
                found.marks.setdefault(name, place)
                found.values.setdefault(name, []).append(inner)
        elif sign[1] in ("=", ":") and len(words) == 1:
            if name in found.values:
                raise WrongFile(
                    f"{name} stands twice, first on line {found.marks[name].line}: keep one", place
                )
            found.marks[name], found.values[name] = place, self._value()
        else:
            raise WrongFile(
                f"not Terraform: {sign[1].strip() or 'a line end'} stands where = or {{ should", sign[2]
            )

    def _value(self) -> Any:
        begin = self._at
        kind, text, place = self._next()
        found: Any = Computed(text)
        if kind == "text" and "${" not in text:
            found = re.sub(r"\\(.)", r"\1", text[1:-1])
        elif kind == "word" and (text in ("true", "false", "null") or re.fullmatch(r"-?[\d.]+", text)):
            found = {"true": True, "false": False, "null": None}.get(text, text)
        elif text == "[":
            found = self._list()
        elif text == "{":
            found = self._body(mark=place)
        if self._peek()[0] in ("line", "end") or self._peek()[1] in (",", "]", "}"):
            return found
        return self._expression(begin)

    def _list(self) -> list[Any]:
        found: list[Any] = []
        while True:
            self._lines()
            if self._peek()[1] == "]":
                self._at += 1
                return found
            if self._peek()[0] == "end":
                raise WrongFile("not Terraform: a list that does not end", self._end)
            found.append(self._value())

    def _expression(self, begin: int) -> Computed:
        """To the end of the line, outside of brackets."""
        self._at, depth = begin, 0
        while self._peek()[0] != "end":
            kind, text, _ = self._peek()
            if not depth and (kind == "line" or text in (",", "]", "}")):
                break
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            self._at += 1
        return Computed("".join(each[1] for each in self._tokens[begin : self._at] if each[0] != "line")[:60])
