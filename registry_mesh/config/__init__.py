"""YAML to frozen values; faults are reported all together, with file and line."""
