"""What the server of `programs` imports before it forks: all of the program."""

from tests.clients.programs import import_all

import_all()
