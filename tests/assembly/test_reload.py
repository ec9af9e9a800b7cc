"""What of a new configuration takes effect at once, and what waits for a restart."""

from registry_mesh.assembly.service import adopted, changed_keys
from registry_mesh.config.load import parse
from registry_mesh.config.schema import Config

BASE = """\
role: site
name: {name}
store: {{disk: {{path: x}}}}
access: {{anonymous: {access}}}
registries:
  a.example: {{parents: [[{parent}]], tags: {{ttl: {ttl}}}}}
"""


def config(name: str = "s", access: str = "pull", parent: str = "http://p", ttl: str = "1m") -> Config:
    return parse(BASE.format(name=name, access=access, parent=parent, ttl=ttl), "f").config


def test_the_same_changes_nothing() -> None:
    assert changed_keys(config(), config()) == set()


def test_access_and_lifetimes_of_tags_take_effect() -> None:
    old, new = config(), config(access="nothing", ttl="5m")
    assert changed_keys(old, new) == {"access", "registries.tags"}
    assert adopted(old, new) == new


def test_names_and_parents_wait() -> None:
    old, new = config(), config(name="t", parent="http://q", ttl="5m")
    assert changed_keys(old, new) == {"name", "registries", "registries.tags"}
    took = adopted(old, new)
    assert took.name == "s"
    assert took.registries["a.example"].parents == (("http://p",),)
    assert took.registries["a.example"].tags.ttl == 300
