"""How full a disk store is: what is taken (ledger), what may be (share, overhead), and the room between."""
