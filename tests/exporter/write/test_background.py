"""Background threads and forks: a child never inherits half an import."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path


def test_a_fork_in_the_middle_of_loading_the_price_list_waits_for_it(tmp_path: Path) -> None:
    """The child prices its calls; without the wait it would hang on the lock of a module that nobody loads."""
    program = """
        import os, time
        from spanledger_exporter.otel import background
        from spanledger_exporter.config import load_settings
        from spanledger_semconv import cost
        from spanledger_semconv.invocation import Usage

        background.start_threads(load_settings({}), ships=False)
        child = os.fork()
        if child == 0:
            known = cost.price("openai", "gpt-4o", Usage(10, 10), time_ns=time.time_ns())
            os._exit(0 if known else 1)
        raise SystemExit(os.waitpid(child, 0)[1])
    """
    finished = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, start_new_session=True)
    try:
        assert finished.wait(120) == 0
    finally:
        if finished.poll() is None:
            os.killpg(finished.pid, signal.SIGKILL)
