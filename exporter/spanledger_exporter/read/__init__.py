"""Reading: from rows to what people see. Every read by a person is itself an `access` row."""
