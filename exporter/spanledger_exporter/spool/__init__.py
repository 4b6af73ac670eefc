"""The durable buffer between an application and the store: one append-only file set per chain."""
