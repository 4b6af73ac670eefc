"""Run the official black-box tests of opentelemetry-instrumentation-genai-{openai,anthropic} against our instrumentors.

Example: `python tests/conformance/run.py --library anthropic`. Further arguments go to pytest. Exit status 0: at least
as many tests pass as the suite says and every other one is a deviation listed below; 1: something else fails, or a
listed deviation passes and must be taken off the list.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
VERSION = "1.3b0"
NEEDED = (f"opentelemetry-util-genai=={VERSION}", "pytest", "pytest-asyncio", "pyyaml")

_DIMENSIONS = "base64 vectors: the official instrumentor counts characters of the text, we count numbers"
_WRAPPED = "asks for the class of the wrapper: ours binds to ordinary methods, which that of wrapt does not"
_DOCUMENTS = "title and context of a document stay in its parts; the official instrumentor drops them"
_FILES = "a file object that is sent as image or document is recorded; the official instrumentor drops the block"
_FILE_CASES = [
    f"test_iterator_transparency.py::test_sdk_consumes_and_captures_request_iterators[{kind}-{first}-{second}-{third}]"
    for kind in ("image", "document")
    for first in (False, True)
    for second in (False, True)
    for third in (False, True)
]


@dataclass(frozen=True, slots=True)
class Suite:
    """The official tests of one library; `deviations` maps a test to the reason why we do otherwise."""

    library: str
    least_passed: int
    deviations: Mapping[str, str]
    needed: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """Name of the official package."""
        return f"opentelemetry-instrumentation-genai-{self.library}"

    @property
    def downloads(self) -> Path:
        """Where everything that is downloaded goes."""
        return HERE / "downloads" / self.library


SUITES = {
    "openai": Suite(
        "openai",
        238,
        {
            "test_embeddings.py::test_embeddings_with_encoding_format[content_mode0]": _DIMENSIONS,
            "test_async_embeddings.py::test_async_embeddings_with_encoding_format[content_mode0]": _DIMENSIONS,
            "test_structured_outputs.py::test_uninstrument_from_a_new_instrumentor_call_unwraps_parse": _WRAPPED,
        },
        ("numpy",),
    ),
    "anthropic": Suite(
        "anthropic",
        180,
        {
            "test_sync_messages.py::test_sync_messages_create_captures_multimodal_content": _DOCUMENTS,
            "test_sync_messages.py::test_sync_messages_create_streaming_captures_multimodal_content": _DOCUMENTS,
            "test_async_messages.py::test_async_messages_create_captures_multimodal_content": _DOCUMENTS,
            "test_async_messages.py::test_async_messages_create_streaming_captures_multimodal_content": _DOCUMENTS,
            **dict.fromkeys(_FILE_CASES, _FILES),
        },
    ),
}
"""The same lists of deviations, in prose, are in instrumentation/README.md and instrumentation/ANTHROPIC.md."""


def main() -> int:
    """Prepare, run, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=SUITES, default="openai", help="whose official tests to run")
    known, for_pytest = parser.parse_known_args()
    suite = SUITES[known.library]
    suite.downloads.mkdir(parents=True, exist_ok=True)
    results_file = suite.downloads / "results.json"
    results_file.unlink(missing_ok=True)
    _run_tests(suite, _environment(suite), _official_tests(suite), results_file, for_pytest=for_pytest)
    if not results_file.exists():
        print("expected the test run to write its results, got none: see pytest's output above")
        return 1
    return _report(suite, json.loads(results_file.read_text(encoding="utf-8")), is_partial=bool(for_pytest))


def _environment(suite: Suite) -> Path:
    """Make (once) an environment with the official package, its tests' needs and this project."""
    directory = suite.downloads / "venv"
    python = directory / "bin" / "python"
    if not (suite.downloads / "ready").exists():
        print(f"installing {suite.package} {VERSION} and this project into {directory.relative_to(PROJECT)} …")
        shutil.rmtree(directory, ignore_errors=True)
        venv.create(directory, with_pip=True)
        needed = (f"{suite.package}=={VERSION}", suite.library, *NEEDED, *suite.needed)
        _pip(python, "install", "--quiet", "--editable", str(PROJECT), *needed)
        (suite.downloads / "ready").touch()
    return python


def _official_tests(suite: Suite) -> Path:
    """Download and unpack the source distribution; its folder of tests."""
    downloads = suite.downloads
    found = sorted(downloads.glob("*.tar.gz"))
    if not found:
        _pip(
            Path(sys.executable), "download", "--quiet", "--no-deps", "--no-binary", ":all:",
            "--dest", str(downloads), f"{suite.package}=={VERSION}",
        )  # fmt: skip
        found = sorted(downloads.glob("*.tar.gz"))
    with tarfile.open(found[0]) as archive:
        archive.extractall(downloads, filter="data")
    return downloads / found[0].name.removesuffix(".tar.gz") / "tests"


def _run_tests(suite: Suite, python: Path, tests: Path, results_file: Path, *, for_pytest: list[str]) -> None:
    shim = suite.downloads / "shim"
    shutil.rmtree(shim, ignore_errors=True)
    shutil.copytree(HERE / "test_util_genai", shim / "opentelemetry" / "test_util_genai")
    shutil.copy(HERE / "plugin.py", shim / "spanledger_conformance.py")
    environment = {
        **os.environ,
        "PYTHONPATH": str(shim),
        "CONFORMANCE_LIBRARY": suite.library,
        "CONFORMANCE_RESULTS": str(results_file),
        "SPANLEDGER_GENAI_METRICS": "released",
        "OPENAI_API_KEY": "test_openai_api_key",
        "ANTHROPIC_API_KEY": "test_anthropic_api_key",
    }
    command = [str(python), "-m", "pytest", "-q", "-p", "spanledger_conformance", "-p", "no:cacheprovider"]
    command += ["--confcutdir", str(tests.parent), "--override-ini", "asyncio_mode=auto"]
    # That file needs a part of the unpublished fixture package that compares with a live weaver server.
    command += ["--ignore", "test_conformance.py", "."]
    subprocess.run([*command, *for_pytest], cwd=tests, env=environment, check=False)


def _report(suite: Suite, results: dict[str, str], *, is_partial: bool) -> int:
    """Print the score and every surprise."""
    deviations = suite.deviations
    passed = {name for name, outcome in results.items() if outcome == "passed"}
    others = {name: outcome for name, outcome in results.items() if outcome != "passed"}
    surprises = [f"{name}: {outcome}" for name, outcome in others.items() if name not in deviations]
    closed = [f"{name}: passes, take it off the list" for name in deviations if name in passed]
    print(f"\n{len(passed)} of {len(results)} official black-box tests pass; {len(deviations)} deviations are listed")
    for name in others:
        print(f"  {name}: {deviations.get(name, 'NOT LISTED')}")
    for line in closed:
        print(f"  {line}")
    return 0 if not surprises and not closed and (is_partial or len(passed) >= suite.least_passed) else 1


def _pip(python: Path, *arguments: str) -> None:
    subprocess.run([str(python), "-m", "pip", "--disable-pip-version-check", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
