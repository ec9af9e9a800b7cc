"""The documentation is a site without a broken link, and lists each decision."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(root: Path, to: Path, builder: str = "html") -> subprocess.CompletedProcess[str]:
    """Build the site of *root* in *to*, as `make site` does; the builder `dummy` follows links and writes nothing."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        builder,
        "-c",
        "docs",
        ".",
        str(to),
    ]
    return subprocess.run(command, cwd=root, text=True, capture_output=True, check=False)


def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    built = build(ROOT, tmp_path, "dummy")
    assert built.returncode == 0, built.stderr


def linking(folder: Path, link: str) -> Path:
    """A documentation of two pages, the first of which has `link`."""
    (folder / "docs").mkdir(parents=True)
    shutil.copy(ROOT / "docs/conf.py", folder / "docs")
    (folder / "docs/other.md").write_text("# Other\n\n## A heading\n")
    (folder / "docs/index.md").write_text(f"# All\n\n[there]({link})\n\n```{{toctree}}\nother.md\n```\n")
    return folder


def test_a_page_is_written_with_its_links(tmp_path: Path) -> None:
    built = build(linking(tmp_path / "copy", "other.md#a-heading"), tmp_path / "site")
    assert built.returncode == 0, built.stderr
    assert 'href="other.html#a-heading"' in (tmp_path / "site/docs/index.html").read_text()
    assert (tmp_path / "site/docs/other.html").exists()


@pytest.mark.parametrize("link", ["nowhere.md", "other.md#no-such-heading", "../deploy/nothing.yaml"])
def test_a_broken_link_is_an_error(tmp_path: Path, link: str) -> None:
    built = build(linking(tmp_path / "copy", link), tmp_path / "site", "dummy")
    assert built.returncode != 0
    assert link.rpartition("#")[2] in built.stderr


def test_each_decision_is_in_the_list() -> None:
    folder = ROOT / "docs/adr"
    listed = (folder / "README.md").read_text()
    missing = []
    for page in sorted(folder.glob("0*.md")):
        title = page.read_text().splitlines()[0].removeprefix("# ")
        if f"- [{title}]({page.name})" not in listed:
            missing.append(f"- [{title}]({page.name})")
    assert not missing, "put into docs/adr/README.md: " + "; ".join(missing)
