"""Write the dashboards and alert rules that Grafana provisions: `python examples/grafana/generate.py [--check]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from grafana.alerts import alerts_document
from grafana.definitions import DASHBOARDS
from grafana.panels import dashboard_json


def generated() -> dict[Path, str]:
    """Return every generated file's path and content. The alert rules are JSON, which is YAML as well."""
    files = {
        HERE / "dashboards" / f"{dashboard.uid}.json": json.dumps(dashboard_json(dashboard), indent=1) + "\n"
        for dashboard in DASHBOARDS
    }
    files[HERE / "provisioning" / "alerting" / "spanledger.yaml"] = json.dumps(alerts_document(), indent=1) + "\n"
    return files


def main() -> int:
    """Write the files, or with `--check` say which ones differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is out of date")
    check = parser.parse_args().check
    stale = [path for path, text in generated().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{'out of date' if check else 'writing'}: {path.relative_to(HERE)}", file=sys.stderr)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(generated()[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
