"""A real headless Chromium for tests of the console.

On Debian, as root, a missing browser is installed (`apt-get install chromium chromium-driver`); anywhere else the tests
say what they need and fail: a browser test that skips itself proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
)


def ensure_chromium() -> tuple[str, str]:
    """Return the paths of Chromium and its driver, installing them where that is possible."""
    if _find() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-q"], check=False, env=environment, capture_output=True)
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium", "chromium-driver"]
        subprocess.run(command, check=False, env=environment, capture_output=True)
    found = _find()
    if found is None:
        raise RuntimeError("expected chromium and chromedriver on the PATH: apt-get install chromium chromium-driver")
    return found


def _find() -> tuple[str, str] | None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (browser, driver) if browser and driver else None


@contextmanager
def chromium(profile: Path) -> Generator[webdriver.Chrome]:
    """Yield a browser with a new profile."""
    browser, driver = ensure_chromium()
    options = Options()
    options.binary_location = browser
    for switch in (*SWITCHES, f"--user-data-dir={profile}", "--window-size=1200,1000"):
        options.add_argument(switch)
    window = webdriver.Chrome(options=options, service=Service(driver))
    try:
        window.set_page_load_timeout(60)
        yield window
    finally:
        window.quit()


def show_as(window: webdriver.Chrome, *, width: int = 1200, height: int = 1000, dark: bool = False) -> None:
    """Give the page a size, and a preference for light or dark."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
