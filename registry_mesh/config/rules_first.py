"""Rule files of the first edition, `registry-mesh/rules/1`: what they meant they mean."""

from __future__ import annotations

from pydantic import ValidationError

from registry_mesh.config.document import Document
from registry_mesh.config.finding import Path as Place
from registry_mesh.config.model_errors import report_model_errors
from registry_mesh.config.rule_entries import FIRST, FirstFile
from registry_mesh.config.rule_selections import Common, Selections, Sets, used_sets
from registry_mesh.config.rule_values import host_of
from registry_mesh.replication.rules import Rule
from registry_mesh.replication.subject import Subject


def read_first(document: Document, common: Common) -> list[Rule]:
    """The rules of a document; what is wrong goes to its findings."""
    if not isinstance(document.value, dict):
        document.report((), "a rule file is a mapping", f"begin with schema: {FIRST}")
        return []
    try:
        FirstFile.model_validate(document.value)
    except ValidationError as invalid:
        report_model_errors(document, FirstFile, invalid)
    sets = Sets(scope="file")
    sets.take(document)
    entries = document.find("rules")
    listed = entries if isinstance(entries, list) else []
    reading = Selections(document, common, sets, 1)
    rules = [_rule(document, reading, ("rules", i)) for i in range(len(listed))]
    sets.used |= used_sets(listed, ("repos", "tags"))
    sets.report_unused()
    return [rule for rule in rules if rule is not None]


def _rule(document: Document, reading: Selections, at: Place) -> Rule | None:
    """The rule, where enough of it is right. What the model found wrong is not said twice."""
    name, registry = document.find(*at, "name"), document.find(*at, "from")
    if isinstance(name, str) and name:
        reading.check_name((*at, "name"), name)
    reading.check_registry((*at, "from"), registry)
    known = host_of(registry) if isinstance(registry, str) else None
    repositories = reading.repositories((*at, "repos"), known)
    tags = reading.selection((*at, "tags"), Subject.TAG)
    platforms = reading.platforms((*at, "platforms"))
    if not isinstance(name, str) or known is None or repositories is None or tags is None:
        return None
    mark = document.mark(at)
    place = f"{document.file}:{mark.line}:{mark.column}"
    return Rule(name, known, repositories, tags, platforms, place=place)
