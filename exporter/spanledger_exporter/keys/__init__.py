"""Signing keys: files, key services, and the ring that knows which one speaks for the log."""
