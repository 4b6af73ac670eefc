"""Which texts a template can have made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanledger_exporter.prompts.template import normalised, parse_template

FIXED = "You sort alerts for a bank."


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (FIXED, FIXED),
        (FIXED + "\n", "\n" + FIXED),
        (FIXED + "\nAlert: {alert}", FIXED + "\nAlert: 40 failures"),
        (FIXED + " {a} and {b[0].c!r:>8}.", FIXED + " x and y."),
        (FIXED + "\n${alert}\nBe brief.", FIXED + "\nx\nBe brief."),
        (FIXED + " {{ alert }} now", FIXED + " x now"),
        (FIXED + " {{ alert | upper }}", FIXED + " X"),
        (FIXED + "{% if vip %} A customer of rank.{% endif %} Be brief.", FIXED + " Be brief."),
        (FIXED + "{% for a in alerts %}\n- {{ a }}{% endfor %}", FIXED + "\n- x\n- y"),
        (FIXED + "{# internal #} Be brief.", FIXED + " Be brief."),
        ("{greeting}, " + FIXED, "Good day, " + FIXED),
        (FIXED + ' Answer as {{"close": true}}: {alert}', FIXED + ' Answer as {"close": true}: x'),
        (FIXED + ' Answer as {"close": true}.', FIXED + ' Answer as {"close": true}.'),
        (FIXED + "\r\nBe brief. {x}", FIXED + "\nBe brief. y"),
    ],
)
def test_a_text_that_the_template_made_is_recognised(template: str, text: str) -> None:
    """Python's format, string.Template and Jinja."""
    assert parse_template(template).matches(normalised(text))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (FIXED, FIXED + " Be brief."),
        (FIXED, "Please: " + FIXED),
        (FIXED + " {a} end", FIXED + " x"),
        (FIXED + " {a} one {b} two", FIXED + " two one"),
        ("{a}", "anything"),
        ("Hi {name}", "Hi Ada"),
        ("ab {x} ab sixteen letters", "ab sixteen letters"),
    ],
)
def test_a_text_that_it_cannot_have_made_is_not(template: str, text: str) -> None:
    """Too little fixed text is no identity either."""
    assert not parse_template(template).matches(normalised(text))


@given(st.text(max_size=50), st.text(max_size=50))
def test_whatever_fills_the_placeholders_the_template_is_recognised(a: str, b: str) -> None:
    """Users write anything, also braces and line breaks."""
    template = FIXED + "\nAlert: {alert}\nHistory:\n{history}\nAnswer in one word."
    text = template.replace("{alert}", a).replace("{history}", b)
    assert parse_template(template).matches(normalised(text))


def test_a_hostile_text_does_not_slow_matching_down() -> None:
    """A megabyte of near matches: anything but a linear walk would not come back."""
    template = parse_template("start of the prompt {a} mid {b} mid {c} mid {d} mid {e} the end")
    text = normalised("start of the prompt " + "mid " * 250_000)
    assert not template.matches(text)
