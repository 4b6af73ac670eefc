"""The console in a real Chromium: accessibility, keyboard, phone, dark, print, and nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest
from axe_selenium_python import Axe
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from browser import chromium, show_as
from served_console import Served, event_of

pytestmark = pytest.mark.browser

PAGES = (
    "/",
    "/case/CASE-2",
    "/case/CASE-6",
    "/event",
    "/review",
    "/queue",
    "/access",
    "/verdict",
    "/case/NO-SUCH",
    "/?since=x",
    "/no-such-page",
)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Generator[WebDriver]:
    """Yield a browser."""
    with chromium(tmp_path_factory.mktemp("profile")) as window:
        window.implicitly_wait(20)
        yield window


def address(console: Served, page: str) -> str:
    """Return a page's address; the pages about one event are about a model call."""
    if page == "/event":
        page += f"?id={event_of(console, 'CASE-2', 'model_call')['event_id']}"
    elif page == "/review":
        page += f"?event={event_of(console, 'CASE-2', 'model_call')['event_id']}"
    return console.url + page


def violations(window: WebDriver) -> list[str]:
    """Return what axe finds wrong with the page that is shown."""
    axe = Axe(window)
    axe.inject()
    found: list[dict[str, Any]] = axe.run()["violations"]
    return [f"{rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in found]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_breaks_an_accessibility_rule_light_or_dark(window: WebDriver, console: Served, page: str) -> None:
    """Contrast, names, landmarks, order of headings, and the rest of axe-core's rules."""
    for dark in (False, True):
        show_as(window, dark=dark)
        window.get(address(console, page))
        assert violations(window) == []


@pytest.mark.parametrize("page", PAGES)
def test_no_page_scrolls_sideways_on_a_phone(window: WebDriver, console: Served, page: str) -> None:
    """Tables scroll inside their frame, the page does not."""
    show_as(window, width=375, height=740)
    window.get(address(console, page))
    assert window.execute_script("return document.documentElement.scrollWidth") <= 375


@pytest.mark.parametrize("width", [390, 1100])
def test_a_very_long_name_makes_no_page_scroll_sideways(window: WebDriver, console: Served, width: int) -> None:
    """A reviewer of three hundred letters, in a timeline and on the page of the next reviewer."""
    event = event_of(console, "CASE-3", "agent_run")["event_id"]
    review = json.dumps({"event_id": event, "action": "approve", "reviewer": "x" * 300}).encode()
    assert console.ask("/api/reviews", data=review, Content_Type="application/json").status == 201
    show_as(window, width=width)
    for page in ("/case/CASE-3", f"/review?event={event}"):
        window.get(console.url + page)
        assert "x" * 300 in window.page_source
        assert window.execute_script("return document.documentElement.scrollWidth") <= width


def test_pages_ask_nobody_else_for_anything(window: WebDriver, console: Served) -> None:
    """Every resource comes from the console, and the policy has nothing to complain about."""
    show_as(window)
    for page in PAGES:
        window.get(address(console, page))
        names = window.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
        assert names
        assert all(name.startswith(console.url) for name in names)
        complaints: list[dict[str, str]] = window.get_log("browser")  # type: ignore[no-untyped-call]
        assert [line for line in complaints if "Content Security Policy" in line["message"]] == []


def test_the_first_key_reaches_the_content_and_focus_is_seen(window: WebDriver, console: Served) -> None:
    """Tab shows the skip link, Enter follows it, the next Tab is inside the page's own content."""
    show_as(window)
    window.get(console.url + "/case/CASE-2")
    body = window.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    skip = window.switch_to.active_element
    assert skip.text == "Skip to content"
    skip.send_keys(Keys.ENTER)
    window.switch_to.active_element.send_keys(Keys.TAB)
    focused = window.switch_to.active_element
    assert window.execute_script("return document.querySelector('main').contains(arguments[0])", focused)
    assert window.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focused) == "solid"


def test_a_person_finds_a_case_and_edits_the_draft_with_the_keyboard_alone(window: WebDriver, console: Served) -> None:
    """From the search field to the recorded difference, without a mouse."""
    show_as(window)
    window.get(console.url)
    # A key starts a page and does not wait for it: each step looks until what it needs is there.
    wait = WebDriverWait(window, 60, ignored_exceptions=[NoSuchElementException, StaleElementReferenceException])
    wait.until(lambda shown: shown.find_element(By.NAME, "case")).send_keys("CASE-5", Keys.ENTER)
    wait.until(lambda shown: "case=CASE-5" in shown.current_url)
    wait.until(lambda shown: shown.find_element(By.LINK_TEXT, "CASE-5")).send_keys(Keys.ENTER)
    wait.until(lambda shown: "/case/CASE-5" in shown.current_url)
    wait.until(lambda shown: shown.find_element(By.LINK_TEXT, "Review this")).send_keys(Keys.ENTER)
    wait.until(lambda shown: "/review" in shown.current_url)
    wait.until(lambda shown: shown.find_element(By.CSS_SELECTOR, "input[value=edit]")).send_keys(Keys.SPACE)
    final = wait.until(lambda shown: shown.find_element(By.NAME, "final"))
    final.clear()
    final.send_keys("Written by hand.")
    wait.until(lambda shown: shown.find_element(By.NAME, "reasoning")).send_keys("the call never ended")
    wait.until(lambda shown: shown.find_element(By.CSS_SELECTOR, ".judge button")).send_keys(Keys.ENTER)
    wait.until(lambda shown: "/case/CASE-5" in shown.current_url)
    page = wait.until(lambda shown: shown.find_element(By.TAG_NAME, "main")).text
    assert "Written by hand." in page
    assert "not in the store" not in page


def test_a_printed_case_leaves_the_controls_out(window: WebDriver, console: Served) -> None:
    """What goes on paper is the record."""
    show_as(window)
    window.get(console.url + "/case/CASE-2")
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = "return [...document.querySelectorAll('nav, .act, .downloads')].filter(e => e.offsetParent).length"
    assert window.execute_script(hidden) == 0
    assert "Block the address for 24 hours." in window.find_element(By.TAG_NAME, "main").text


def test_nothing_is_folded_away_on_paper(window: WebDriver, console: Served) -> None:
    """The envelope of an event is behind a click on the screen; paper cannot be clicked."""
    show_as(window)
    window.get(address(console, "/event"))
    shown = "return document.querySelector('details:last-of-type > pre').checkVisibility({contentVisibilityAuto: true})"
    on_screen = window.execute_script(shown)
    assert on_screen is False
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    # The browser answers before the page is laid out for the other medium.
    WebDriverWait(window, 20).until(lambda page: page.execute_script(shown))
