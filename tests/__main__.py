"""`python3 tests [pytest arguments]`: make the environment if needed, then run the whole suite in it.

Without arguments two processes share the files, which halves the time. With arguments it is pytest as it comes: one
process, in which `-x`, `--pdb` and `-s` do what they say.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ci"))

from environment import run_in_environment

# A file stays with one process: its fixtures are made once. More than two were not tried; some tests start servers and
# browsers of their own.
TWO_PROCESSES = ["-n", "2", "--dist", "loadfile"]

if __name__ == "__main__":
    raise SystemExit(run_in_environment(["-m", "pytest", *(sys.argv[1:] or TWO_PROCESSES)]))
