"""Prompts as versioned artifacts: files, the registry, and finding out which prompt a call used."""
