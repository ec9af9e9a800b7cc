"""Callers become subjects: passwords and tokens are verified, tokens made. What subjects may do, `auth` decides."""
