"""The project's own virtual environment: made on first use, re-made when `pyproject.toml` changes.

Standard library only, because it runs before anything is installed.
A first run that was interrupted leaves no stamp, so the next run starts the environment afresh.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".spanledger-ready"
PYTHON = VENV / "bin" / "python"
EXTRAS = "dev"
PROGRESS_EVERY_S = 3.0
FAILURE_LINES = 30


def run_in_environment(arguments: list[str], *, directory: Path = ROOT) -> int:
    """Run the environment's Python with `arguments` in `directory` and return its exit status."""
    make_environment()
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONHOME", "PYTHONPATH"}}
    environment["VIRTUAL_ENV"] = str(VENV)
    environment["PATH"] = f"{VENV / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    try:
        return subprocess.run([str(PYTHON), *arguments], cwd=directory, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 130


def make_environment() -> None:
    """Make `.venv` with the project and its development extras, unless the present one still fits."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what runs before pip could refuse
        found = ".".join(map(str, sys.version_info[:3]))
        raise SystemExit(
            f"expected Python 3.11 or newer, got {found} ({sys.executable}): run this with a newer python3"
        )
    with (ROOT / ".ci" / "environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first runs at once would tear each other's environment
        wanted = _fingerprint()
        if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted:
            return
        _install(wanted)


def _fingerprint() -> str:
    """Digest of what decides the environment's content."""
    material = (ROOT / "pyproject.toml").read_bytes() + sys.version.encode() + str(ROOT).encode()
    return hashlib.sha256(material).hexdigest()


def _install(fingerprint: str) -> None:
    started = time.monotonic()
    print(f"making {VENV} (once; about two minutes on a fresh machine)", file=sys.stderr, flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    venv.create(VENV, with_pip=True)
    _pip_install(["-e", f"{ROOT}[{EXTRAS}]"])
    STAMP.write_text(fingerprint)
    print(f"environment ready after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _pip_install(what: list[str]) -> None:
    """Run pip with one line of progress; when it fails, show the end of what it said."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *what]
    said: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None  # noqa: S101 - it is a pipe
        shown_s = 0.0
        for line in pip.stdout:
            said.append(line.rstrip())
            step = line.split("(from", maxsplit=1)[0].strip()
            is_step = step.startswith(("Collecting ", "Downloading ", "Building ", "Installing "))
            if is_step and time.monotonic() - shown_s > PROGRESS_EVERY_S:
                shown_s = time.monotonic()
                print(f"  {step[:100]}", file=sys.stderr, flush=True)
    if pip.returncode:
        print("\n".join(said[-FAILURE_LINES:]), file=sys.stderr)
        raise SystemExit(
            f"expected the packages of pyproject.toml to install, pip ended with status {pip.returncode} (above): "
            "check the network and the package index settings, then run the same command again"
        )
