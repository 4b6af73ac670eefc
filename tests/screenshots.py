"""Takes the pictures of the console that the READMEs show, and those of every other page to look at.

    python tests/screenshots.py [-o DIRECTORY] [--all]

The story of `ledger_story`, sealed; a person signed in by token; a real Chromium. Without `--all` only the pictures of
the READMEs are taken, into `exporter/screenshots`; with it every page as on a desk, in the dark and on a phone.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from browser import chromium, show_as
from ledger_story import tell
from ledgers import Ledger
from served_console import Served, command, serving
from spanledger_exporter.config import load_settings
from spanledger_exporter.store.connection import open_store
from spanledger_exporter.store.schema import ensure_schema

PLACE = Path(__file__).resolve().parents[1] / "exporter" / "screenshots"
PERSON, TOKEN = "maria.keller", "token-of-maria"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: sizes in CSS pixels, `height` None for the whole page."""

    name: str
    page: str
    width: int = 1100
    height: int | None = None
    dark: bool = False


FOR_READMES = (
    Picture("console-case", "/case/CASE-2", height=1000),
    Picture("console-proof-dark", "{event}", height=860, dark=True),
)
PAGES = {
    "search": "/?reason=complaint+2026-17",
    "case": "/case/CASE-2",
    "self-review": "/case/CASE-6",
    "escalated": "/case/CASE-4",
    "event": "{event}",
    "review": "{review}",
    "queue": "/queue",
    "verdict": "/verdict",
    "access": "/access",
    "nothing": "/case/NO-SUCH",
    "mistake": "/?since=x",
}
EVERY = tuple(
    Picture(f"{name}-{look}", page, width, None, dark)
    for name, page in PAGES.items()
    for look, width, dark in (("light", 1100, False), ("dark", 1100, True), ("phone", 375, False))
)


def main() -> None:
    """Write the story, serve it, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=PLACE)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, signed_in(Path(place)) as (console, window):
        addresses = places(console)
        for picture in EVERY if arguments.all else FOR_READMES:
            take(window, console, picture, picture.page.format(**addresses), arguments.output)
            print(picture.name, file=sys.stderr)


@contextmanager
def signed_in(place: Path) -> Generator[tuple[Served, WebDriver]]:
    """Yield a console over the story, judged, and a browser in which a person signed in."""
    write_story(place)
    people = place / "people.txt"
    people.write_text(f"{PERSON} {sha256(TOKEN.encode()).hexdigest()}\n")
    with serving(place, "--people", str(people)) as console, chromium(place / "profile") as window:
        window.get(console.url)
        window.find_element(By.NAME, "token").send_keys(TOKEN)
        window.find_element(By.CSS_SELECTOR, "main button").click()
        WebDriverWait(window, 30).until(lambda shown: "/sign-in" not in shown.current_url)
        window.get(console.url + "/verdict")
        window.find_element(By.CSS_SELECTOR, "main button").click()
        WebDriverWait(window, 120).until(lambda shown: shown.find_elements(By.CSS_SELECTOR, "section.verdict"))
        yield console, window


def write_story(place: Path) -> None:
    """Write the story into a store at `place`, and seal it."""
    settings = load_settings({"SPANLEDGER_DIR": str(place)}, working_directory=place)
    with open_store(settings, role="owner") as store:
        ensure_schema(store)
        ledger = Ledger()
        tell(ledger)
        ledger.write(store)
    assert command(place, "seal").returncode == 0


def places(console: Served) -> dict[str, str]:
    """Return the pages about one event."""
    found = console.ask("/api/events?case=CASE-2&type=model_call", Authorization=f"Bearer {TOKEN}")
    event = json.loads(found.body)[0]["event_id"]
    return {"event": f"/event?id={event}", "review": f"/review?event={event}"}


def take(window: WebDriver, console: Served, picture: Picture, page: str, directory: Path) -> None:
    """Take one picture."""
    show_as(window, width=picture.width, height=picture.height or 800, dark=picture.dark)
    window.get(console.url + page)
    if picture.height is None:
        height = window.execute_script("return document.documentElement.scrollHeight")
        show_as(window, width=picture.width, height=height, dark=picture.dark)
    shot = window.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    (directory / f"{picture.name}.png").write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    main()
