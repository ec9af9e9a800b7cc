"""Whose request is worked for, where one client may not have all of what many want.

What works for a request, in tasks of its own too, finds it in the context that it began in.
"""

from __future__ import annotations

from contextvars import ContextVar

CLIENT: ContextVar[str] = ContextVar("client", default="")
"""An address, or what stands for several; empty for whom nothing bounds."""
