"""Targets: under which name, and in which registry, something is kept or pushed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from registry_mesh.oci.reference import RegistryName, RepositoryName, Tag, is_name, is_tag
from registry_mesh.replication.subject import Subject

_WORD: Final = re.compile(r"\{([^{}]*)\}")
_FOLDERS: Final = re.compile(r"repo\[(\d{1,2}):\]")
_WORDS: Final = ("repo", "base", "tag", "version", "source")


@dataclass(frozen=True, slots=True)
class Source:
    """What a template is filled with."""

    registry: RegistryName
    repository: RepositoryName
    tag: Tag
    version: str | None = None
    """What a pattern read of the tag, without v."""


@dataclass(frozen=True, slots=True)
class Target:
    """Templates of a name and a tag; `registry` None is the store that the rule fills."""

    name: str = "{repo}"
    tag: str = "{tag}"
    registry: RegistryName | None = None

    @classmethod
    def parse(cls, name: str, tag: str = "{tag}", registry: RegistryName | None = None) -> Target:
        """`ValueError` where a word is none of those that there are."""
        for template, subject in ((name, Subject.REPOSITORY), (tag, Subject.TAG)):
            for word in _WORD.findall(template):
                if word not in _WORDS and not _FOLDERS.fullmatch(word):
                    raise ValueError(
                        f"{{{word}}} is no word of a template; they are {{repo}} {{repo[n:]}} "
                        "{base} {tag} {version} {source}"
                    )
            if set("{}") & set(_WORD.sub("", template)):
                raise ValueError(f"{template!r}: a brace that is not closed, or closes nothing")
            _demand_legal(template, subject)
        return cls(name, tag, registry)

    @property
    def drops_folders(self) -> bool:
        """Whether several repositories may get one name."""
        return "{repo}" not in self.name

    def of(self, source: Source) -> tuple[RepositoryName, Tag]:
        """What it makes of a source; `ValueError` where that is no legal name. What has no tag gets none."""
        is_bare = source.tag.startswith("@")
        name, tag = _filled(self.name, source), source.tag if is_bare else _filled(self.tag, source)
        if not is_name(name):
            raise ValueError(f"{self.name} makes {name!r}, which is no repository name")
        if not is_bare and not is_tag(tag):
            raise ValueError(f"{self.tag} makes {tag!r}, which is no tag")
        return RepositoryName(name), Tag(tag)


def _demand_legal(template: str, subject: Subject) -> None:
    """`ValueError` where a character of its own is in no name, so that no source makes one."""
    for each in _WORD.sub("", template):
        if each not in subject.value:
            noun = "tag" if subject is Subject.TAG else "repository's name"
            raise ValueError(f"{template!r}: {each!r} stands in no {noun}{_instead(each, subject)}")


def _instead(character: str, subject: Subject) -> str:
    if subject is Subject.TAG:
        return ": another registry is written {registry: HOST, name: NAME}" if character == "/" else ""
    if character == ":":
        return ": a tag is written {name: NAME, tag: TAG}, another registry {registry: HOST, name: NAME}"
    return ": names are lower-case" if character.lower() in subject.value else ""


def from_text(text: str, registry: RegistryName | None = None) -> Target:
    """`NAME[:TAG]`; `ValueError`."""
    bare = _WORD.sub(lambda word: "_" * len(word[0]), text)
    colon = bare.find(":")
    name, tag = (text, "{tag}") if colon < 0 else (text[:colon], text[colon + 1 :])
    return Target.parse(name, tag or "{tag}", registry)


def _filled(template: str, source: Source) -> str:
    return _WORD.sub(lambda word: _value(word[1], source), template)


def _value(word: str, source: Source) -> str:
    folders = _FOLDERS.fullmatch(word)
    if folders:
        return "/".join(source.repository.split("/")[int(folders[1]) :])
    match word:
        case "repo":
            return source.repository
        case "base":
            return source.repository.rpartition("/")[2]
        case "tag":
            return source.tag
        case "source":
            return source.registry.replace(":", "_")
    if source.version is None:
        raise ValueError(f"{source.tag} is taken by a pattern that reads no version")
    return source.version
