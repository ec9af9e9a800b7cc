"""What is looked for in a configuration that was read: faults that no key alone shows, files that cannot be used."""
