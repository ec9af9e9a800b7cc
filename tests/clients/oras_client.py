"""The Python client of ORAS.

    oras_client.py CONFIG push NAME FILE
    oras_client.py CONFIG pull NAME FOLDER [USER PASSWORD HOST, to log in before]

CONFIG is the file of logins. The client takes a login without asking the registry, so that a login alone proves
nothing. It speaks TLS where ORAS_CA in the environment names whom it believes. It pulls by the token flow, and pushes
by Basic: its token flow keeps the first token, which is for pull alone.
"""

import os
import sys

from oras.client import OrasClient
from oras.logger import setup_logger

config, command, *words = sys.argv[1:]
setup_logger(quiet=False, debug=True)  # it says when it is about to try again
if tls := "ORAS_CA" in os.environ:
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["ORAS_CA"]
client = OrasClient(insecure=not tls, tls_verify=tls, auth_backend="basic" if command == "push" else "token")
if command == "push":
    name, file = words
    os.chdir(os.path.dirname(file))
    client.push(target=name, files=[os.path.basename(file)], config_path=config, disable_path_validation=True)
else:
    name, folder, *login = words
    if login:
        user, password, host = login
        client.login(username=user, password=password, hostname=host, config_path=config)
    print("\n".join(client.pull(target=name, outdir=folder, config_path=config)))
