"""C2SP witnesses: what a log asks of one, and a small one that an auditor can run."""
