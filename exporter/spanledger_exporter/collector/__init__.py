"""`spanledger collector`: OTLP over HTTP and gRPC in, chained rows out (capture tier `ingested`)."""
