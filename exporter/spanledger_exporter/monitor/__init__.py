"""The monitor: looks at a ledger again and again, remembers what it saw, and raises alarms."""
