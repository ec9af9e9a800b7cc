"""What names at a command mean."""

from __future__ import annotations

import pytest

from registry_mesh.admin.images import Unheeded
from registry_mesh.assembly.watch.image_names import ImageNames
from registry_mesh.config.load import parse

ONE = """
role: site
store: {disk: {path: /tmp}}
registries: {r.example: {parents: [[http://127.0.0.1:1]]}}
"""


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("r.example/team/app:1", "r.example/team/app"),
        ("team/app:1", "r.example/team/app"),
        ("app", "r.example/app"),
        ("app.v2:1", "r.example/app.v2"),
    ],
)
def test_without_a_registry_the_one_that_is_served_is_meant(name: str, means: str) -> None:
    assert str(ImageNames(parse(ONE, "f.yaml").config).parsed(name)[0]) == means


@pytest.mark.parametrize("host", ["other.example", "localhost", "other:5000", "127.0.0.1:5000"])
def test_a_registry_that_is_not_served_is_named(host: str) -> None:
    with pytest.raises(Unheeded) as unheeded:
        ImageNames(parse(ONE, "f.yaml").config).parsed(f"{host}/team/app:1")
    assert str(unheeded.value) == (
        f"{host}/team/app:1: {host} is not served here; begin with a registry that is: r.example"
    )
