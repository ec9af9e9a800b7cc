"""From a file to a `Config`, or to every fault of the file at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from registry_mesh.config.checking.whole import check_document
from registry_mesh.config.document import Document, read_document
from registry_mesh.config.files import content_of
from registry_mesh.config.finding import ConfigInvalid, Finding, Severity
from registry_mesh.config.finding import Path as KeyPath
from registry_mesh.config.model_errors import report_model_errors
from registry_mesh.config.offered import check_offered
from registry_mesh.config.places import room_warnings
from registry_mesh.config.put_aside import put_aside
from registry_mesh.config.schema import Config


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, and what to know about it all the same."""

    config: Config
    warnings: tuple[Finding, ...]
    lacks: tuple[Finding, ...] = ()
    """What keeps a node from starting on this machine: folders, permissions, secrets."""
    document: Document | None = None

    def fit(self) -> Loaded:
        """Itself. `ConfigInvalid` where a node cannot start with it on this machine."""
        if self.lacks:
            raise ConfigInvalid(self.lacks)
        return self

    def room_warnings(self) -> list[Finding]:
        """Where more is to be stored than this machine has room for."""
        return room_warnings(self.document) if self.document is not None else []

    def fault(self, path: KeyPath, what: str, how: str = "") -> Finding:
        """What was found wrong with the value at `path` when it was used."""
        assert self.document is not None, "loaded from a file"
        return Finding(self.document.file, self.document.mark(path), path, what, how)


def load(path: str | Path) -> Loaded:
    """The configuration in the file at `path`. `ConfigInvalid` lists every fault."""
    return parse(_content(path), str(path))


def load_to_ask(path: str | Path) -> tuple[Config, tuple[Finding, ...]]:
    """The configuration by which a running node is found, and its faults. A node runs on where files that its
    configuration names became wrong (policies, keys, certificates): then, above all, it has to be asked.
    `ConfigInvalid` where the configuration itself says nothing that can be used."""
    config, document = _read(_content(path), str(path))
    faults = tuple(finding for finding in document.findings if finding.severity is Severity.ERROR)
    if config is None:
        raise ConfigInvalid(document.findings)
    return config, faults


def _content(path: str | Path) -> bytes:
    if str(path) == "-":
        raise ConfigInvalid([Finding("-", None, (), "standard input is not read", "name a file")])
    return content_of(path)


def parse(text: str | bytes, file: str) -> Loaded:
    """The configuration that `text` spells; `file` is what findings call it."""
    config, document = _read(text, file)
    warnings, lacks, faults = (
        tuple(finding for finding in document.findings if finding.severity is severity)
        for severity in (Severity.WARNING, Severity.LACK, Severity.ERROR)
    )
    if config is None or faults:
        raise ConfigInvalid(document.findings)
    return Loaded(config, warnings, lacks, document)


def _read(text: str | bytes, file: str) -> tuple[Config | None, Document]:
    """What the text spells, None where it spells nothing that can be used, with all that was found."""
    document = read_document(text, file)
    config = _validate(document)
    if isinstance(document.value, dict):
        check_offered(document)
        document.value = put_aside(document.value, document.wrong)
        check_document(document)
    return config, document


def _validate(document: Document) -> Config | None:
    if not isinstance(document.value, dict):
        document.report((), "a configuration is a mapping", "begin with role: origin, replica or site")
        return None
    try:
        return Config.model_validate(document.value)
    except ValidationError as invalid:
        document.wrong += report_model_errors(document, Config, invalid)
        return None
