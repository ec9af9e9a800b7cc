"""The documentation site: `make site` builds it with Sphinx from the same Markdown that GitHub shows.

Its root is the repository's, because README, ARCHITECTURE and CHANGELOG belong to it. A broken link is an error.
"""

from typing import Any

from pygments.lexers.special import TextLexer

project = "registry-mesh"
author = "the authors of registry-mesh"
project_copyright = "the authors of registry-mesh, Apache-2.0"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/*.md", "docs/adr/*.md"]
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
html_theme = "furo"
html_title = "registry-mesh"
html_copy_source = False
nitpicky = True


def setup(app: Any) -> None:
    app.add_lexer("mermaid", TextLexer)  # the table beside each picture says the same
