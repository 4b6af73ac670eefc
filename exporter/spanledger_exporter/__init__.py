"""From span to verified row: normalise, redact, chain, spool, ship, seal, verify, read."""
