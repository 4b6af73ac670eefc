"""`python3 examples [arguments]`: make the environment if needed, then run the main story in it."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
sys.path.insert(0, str(EXAMPLES.parent / ".ci"))

from environment import run_in_environment

if __name__ == "__main__":
    raise SystemExit(run_in_environment([str(EXAMPLES / "story.py"), *sys.argv[1:]], directory=Path.cwd()))
