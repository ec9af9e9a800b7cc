"""Sources nested in sources: pull-through, failover, remembered answers."""
