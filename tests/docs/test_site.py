"""The documentation is a site without a broken link, and lists each decision."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def build(root: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of *root* in *to*, as `make site` does."""
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-c",
        "docs",
        ".",
        str(to),
    ]
    return subprocess.run(command, cwd=root, text=True, capture_output=True, check=False)


def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    built = build(ROOT, tmp_path)
    assert built.returncode == 0, built.stderr
    assert "docs/adr" in (tmp_path / "README.html").read_text()
    assert (tmp_path / "docs/configuration.html").exists()


@pytest.mark.parametrize("link", ["nowhere.md", "configuration.md#no-such-heading", "../deploy/nothing.yaml"])
def test_a_broken_link_is_an_error(tmp_path: Path, link: str) -> None:
    copy = tmp_path / "copy"
    (copy / "docs").mkdir(parents=True)
    shutil.copy(ROOT / "docs/conf.py", copy / "docs")
    shutil.copy(ROOT / "docs/configuration.md", copy / "docs")
    (copy / "docs/index.md").write_text(
        f"# All\n\n[there]({link})\n\n```{{toctree}}\nconfiguration.md\n```\n"
    )
    built = build(copy, tmp_path / "site")
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
