"""The format: envelopes, rows, content references, trees, notes. Pure: bytes and values in, bytes and values out."""
