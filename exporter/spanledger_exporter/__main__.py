"""`python -m spanledger_exporter` is `spanledger`."""

from spanledger_exporter.cli import main

raise SystemExit(main())
