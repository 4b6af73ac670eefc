"""The wheel, built by the real build backend and installed into a fresh environment, works without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"spanledger", "spanledger_exporter", "spanledger_semconv"}
GROUPS = (
    "opentelemetry_instrumentor",
    "opentelemetry_traces_exporter",
    "opentelemetry_traces_sampler",
    "opentelemetry_pre_instrument",
    "console_scripts",
)
LOAD_ENTRY_POINTS = f"""
from importlib.metadata import distribution
found = [point for point in distribution("spanledger").entry_points if point.group in {GROUPS}]
for point in found:
    point.load()
print(len(found))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with hatchling, in this environment: a build of its own would need the network."""
    pytest.importorskip("hatchling")
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install it into a fresh environment that borrows the dependencies of this one, and nothing of the source tree."""
    home = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    site = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, capture_output=True, check=True)
    borrowed = site / "borrowed"
    borrowed.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "spanledger" not in entry.name:
            (borrowed / entry.name).symlink_to(entry)
    (site / "borrowed.pth").write_text(f"{borrowed}\n")
    return home


def run(command: list[str], tmp_path: Path) -> str:
    """Run a command away from the source tree and return what it prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SPANLEDGER_"))}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    """No test, no example, no stray top-level module that could meet an application's own."""
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


def test_the_wheel_holds_the_data_that_the_code_reads(wheel: Path) -> None:
    """Every file that is no Python and stands in a package is in the wheel."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    areas = {"semconv", "instrumentation", "exporter"}
    expected = {line.partition("/")[2] for line in listed if line.partition("/")[0] in areas}
    expected = {name for name in expected if name.partition("/")[0] in PACKAGES}
    with ZipFile(wheel) as archive:
        assert expected <= set(archive.namelist())


def test_every_entry_point_loads(installed: Path, tmp_path: Path) -> None:
    """A launcher that finds us must be able to load us."""
    count = run([str(installed / "bin" / "python"), "-c", LOAD_ENTRY_POINTS], tmp_path)
    assert int(count) >= 6


def test_the_command_line_answers(installed: Path, tmp_path: Path) -> None:
    """`spanledger --help` lists the commands."""
    said = run([str(installed / "bin" / "spanledger"), "--help"], tmp_path)
    assert "verify" in said


def test_no_extra_has_the_name_that_disables_all_instrumentors(wheel: Path) -> None:
    """OpenTelemetry skips a distribution's entry points when a requirement of its extra `instruments` is missing."""
    with ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
    assert "Provides-Extra: instruments" not in text
