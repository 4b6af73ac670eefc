"""From what a span says to what a row says: envelopes and content parts."""
