"""The database: one connection for the embedded engine and the server, the tables, and what they are made of."""
