"""Tests in rule files: those that come true, those that do not, and those that are none."""

# ruff: noqa: E501  (a case is one line)

from __future__ import annotations

import pytest

from registry_mesh.replication.trial import try_all
from tests.replication.second import AA, BB, rules_of

RULES = f"""
rules:
  - {{name: hub-base, from: docker.io, repos: "library/*", tags: ["8", "9", "9.4"], age: 3d, to: "base/{{base}}", platforms: linux/amd64}}
  - {{name: few, from: h.example, repos: a, tags: "semver: *", keep: 1, max: 1KiB}}
  - {{name: pinned, from: h.example, repos: p, tags: "9@{AA}"}}
  - {{name: signed, from: h.example, repos: s, tags: "*", verify: team, types: image, labels: {{tier: prod}}}}
deny:
  - {{from: h.example, repos: bad}}
tests:
"""
TYPE = "application/vnd.oci.image.config.v1+json"

SIGNED = "{ref: 'h.example/s:1', type: " + TYPE + ", labels: {tier: prod}"


@pytest.mark.parametrize(
    ("trial", "why"),
    [
        ("{given: {ref: 'docker.io/alma:9', seen: 2d}, expect: {rules: [hub-base], to: [r.example/base/alma:9], wait: 1d}}", ""),
        ("{given: {ref: 'docker.io/alma:9', seen: 2d}, expect: {wait: 2d}}", "expects to wait 172800 s, and it waits 86400 s"),
        ("{given: {ref: 'docker.io/alma:9', seen: 2d}, expect: {to: [r.example/alma:9]}}", "expects it at r.example/alma:9, and it goes to base/alma:9"),
        ("{given: 'docker.io/alma:9', expect: hub-base}", ""),
        ("{given: {ref: 'docker.io/alma:9', seen: 9d}, expect: {platforms: [linux/arm64]}}", "expects platforms linux/arm64, and they are linux/amd64"),
        ("{given: 'docker.io/alma:7', expect: none}", ""),
        ("{given: 'docker.io/alma:7', expect: hub-base}", "expects hub-base, and it is none"),
        ("{given: 'library/alma:7', expect: none}", "'library/alma:7': the registry is missing; write REGISTRY/REPOSITORY:TAG"),
        ("{given: 'elsewhere.example/alma:7', expect: none}", ""),
        ("{given: 'h.example/bad:1', expect: denied}", "expects denied, and it is none"),
        ("{given: {ref: 'h.example/a:1', size: 1B, tags: ['2']}, expect: {kept: false}}", ""),
        ("{given: {ref: 'h.example/a:2', size: 1B, tags: ['1']}, expect: {kept: false}}", "expects kept: false, and it is "),
        ("{given: {ref: 'h.example/a:2', size: 1B}, expect: {kept: true}}", "expects kept, and gives no tags"),
        ("{given: 'docker.io/alma:9', expect: {wait: 1d}}", "expects wait, and gives no seen"),
        ("{given: 'h.example/a:2', expect: few}", ""),
        ("{given: 'h.example/a:2', expect: {refused: allowed}}", "depends on size, and gives none"),
        ("{given: {ref: 'h.example/a:2', size: 2KiB}, expect: {refused: 1.0 KiB are allowed}}", ""),
        (f"{{given: 'h.example/p:9@{BB}', expect: {{refused: pinned to}}}}", ""),
        (f"{{given: 'h.example/p:9@{AA}', expect: pinned}}", ""),
        ("{given: " + SIGNED + ", signed_by: [team]}, expect: signed}", ""),
        ("{given: " + SIGNED + ", signed_by: []}, expect: {refused: not signed by team}}", ""),
        ("{given: " + SIGNED + "}, expect: signed}", ""),
        ("{given: " + SIGNED + "}, expect: {refused: not signed}}", "depends on signed_by, and gives none"),
        ("{given: 'h.example/s:1', expect: signed}", "depends on type, and gives none"),
    ],
)  # fmt: skip
def test_trials(trial: str, why: str) -> None:
    failed = try_all(rules_of(f"{RULES}  - {trial}"))
    assert (failed[0].why if failed else "").startswith(why) and bool(failed) == bool(why)
    assert all(each.invalid == ("gives no" in each.why or "missing" in each.why) for each in failed)
