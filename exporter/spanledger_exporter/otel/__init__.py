"""Where OpenTelemetry and the ledger meet: span processor, sampler, span exporter, and the hook that installs them."""
