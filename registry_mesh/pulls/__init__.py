"""Who pulled what, where and when: kept by day, for as long as the operator wants."""
