"""Every parser that takes what somebody else wrote: what it may raise, and texts to begin from.

Whatever bytes come, a parser gives a value or one of its own refusals; it raises nothing else, and it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.fuzz.of_content import CONTENT
from tests.fuzz.of_files import FILES
from tests.fuzz.of_http import HTTP
from tests.fuzz.of_logins import LOGINS
from tests.fuzz.of_signatures import SIGNATURES
from tests.fuzz.parser import Parser

PARSERS: Final[Sequence[Parser]] = (*HTTP, *CONTENT, *LOGINS, *SIGNATURES, *FILES)
