"""`python3 tests [pytest arguments]`: make the environment if needed, then run the whole suite in it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ci"))

from environment import run_in_environment

if __name__ == "__main__":
    raise SystemExit(run_in_environment(["-m", "pytest", *sys.argv[1:]]))
