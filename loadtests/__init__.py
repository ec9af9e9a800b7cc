"""Measures registry_mesh beside its peers, on one machine, in one run. `python -m loadtests --help`."""
