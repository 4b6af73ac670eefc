"""From the spool to the store: batches with durable boundaries, retried for ever, stored once."""
