"""Evidence bundles: what a case left in the ledger, with everything that is needed to prove it elsewhere."""
