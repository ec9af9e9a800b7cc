"""Plain values as YAML text, for files of others that we add to."""

from __future__ import annotations

from typing import Any

import yaml


def dump(value: Any) -> str:
    """Any: what YAML can spell. Keys stay in their order; texts that YAML 1.1 takes for something else are quoted."""
    return str(
        yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000)
    )
