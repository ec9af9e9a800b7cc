"""The wall towards disks and buckets."""
