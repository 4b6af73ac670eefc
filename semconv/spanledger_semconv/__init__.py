"""Names and meanings that every other area shares; imports no other area and no OpenTelemetry."""
