"""What has to be known of tags to count the newest that rules keep."""

from __future__ import annotations

from collections.abc import Iterable

from registry_mesh.replication.keep import By
from registry_mesh.replication.rules import Rule, Rules


def needs_more_than_names(rules: Rules, of: Iterable[Rule]) -> bool:
    """Whether more than names is needed to tell what `of`, of these rules, keep: when a value came, what it is, or
    which digest is denied."""
    by_digest = any(each.digest is not None for each in rules.deny)
    return any(by_digest or _counts_by_time(rule) or counts_by_kind(rule) for rule in of)


def _counts_by_time(rule: Rule) -> bool:
    return rule.keep is not None and (rule.keep.by is By.SEEN or rule.keep.or_younger is not None)


def counts_by_kind(rule: Rule) -> bool:
    """Whether a rule counts the newest of one type, or with a label: of each tag that it selects that must be known."""
    return rule.keep is not None and bool(rule.types or rule.labels)
