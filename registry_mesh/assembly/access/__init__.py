"""Who may do what, and who did, as one process knows it while files and parents change."""
