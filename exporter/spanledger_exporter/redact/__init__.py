"""Keeps personal data off the disk: rules that replace or withhold, applied before anything is hashed or written."""
