"""The page in a bundle, as somebody reads it who has to decide on it: complete, said once, and honest about proofs."""

from __future__ import annotations

import re

from ledgers import Ledger, part
from sealed_ledgers import edited, row_tuple
from spanledger_exporter.evidence.report import ReportFacts, render_report
from spanledger_exporter.ledger.content import Content
from spanledger_exporter.verify.source import ContentRow, ReceiptRow, RowTuple

SPAN = {"trace_id": "ab" * 16, "span_id": "cd" * 8}
EVENT_ID = f"{SPAN['trace_id']}:{SPAN['span_id']}"


def page_of(
    ledger: Ledger, *, rows: list[RowTuple] | None = None, proved: int = 0, held: int = 0, unsigned: str = ""
) -> str:
    """Render the rows of a ledger; the first `proved` have a proof under size 7, anchored when `held` is 7."""
    rows = list(map(row_tuple, ledger.rows)) if rows is None else rows
    contents = {ref: _content(content) for ref, content in ledger.contents.items()}
    facts = ReportFacts(
        scope={"case_id": "CASE-1"},
        created_at="2026-11-21T20:00:00+00:00",
        origin="spanledger/test",
        pin="00" * 32,
        checkpoints=(),
        proved={(row[0], row[1]): 7 for row in rows[:proved]},
        receipts=(ReceiptRow(held, "directory", "anchors", b""),) if held else (),
        unsigned=unsigned,
    )
    return render_report(rows, contents, facts)


def _content(content: Content) -> ContentRow:
    return ContentRow(content.ref, content.content_class, content.media, content.size, content.data or b"", "")


def ledger_of_a_call(*, is_answered: bool) -> Ledger:
    """Return a chain with a call's intent row, and its completion."""
    ledger = Ledger()
    chain = ledger.open_chain()
    question, answer = ledger.text("Is this host compromised?"), ledger.text("It is.")
    asked = {"event_type": "model_call", "name": "chat gpt-5", "input": [part(question, role="user")], **SPAN}
    chain.append({**asked, "event_id": f"{EVENT_ID}:begin"})
    if is_answered:
        done = {"event_id": EVENT_ID, "outcome": "success", "output": [part(answer, role="assistant")]}
        chain.append({**asked, **done})
    return ledger


def test_a_call_is_one_article_that_names_both_of_its_rows() -> None:
    """The row that was on disk before the request left is evidence, and no second event."""
    page = page_of(ledger_of_a_call(is_answered=True))
    assert page.count("<article") == 2  # the chain began, the call
    assert page.count("Is this host compromised?") == 1
    assert "row 1 (written before the request was sent)" in page
    assert "3, by 1 writer, in 2 events" in page


def test_what_came_over_otlp_for_the_same_span_is_named_with_what_only_it_says() -> None:
    """One event and two rows: whoever looks for the hash of one of them finds it on the page."""
    ledger = Ledger()
    shared, own = ledger.text("It is."), ledger.text("Only the sender says this.")
    span = {"event_type": "model_call", "event_id": EVENT_ID, **SPAN}
    ledger.open_chain().append({**span, "capture": {"tier": "captured"}, "output": [part(shared, role="assistant")]})
    collector = ledger.open_chain(role="collector")
    parts = [part(shared, role="assistant"), part(own, role="assistant")]
    row = collector.append({**span, "capture": {"tier": "ingested"}, "output": parts})
    page = page_of(ledger)
    assert f"row 1 (the same span, as it came over OTLP) · {row.row_hash.hex()}" in page
    assert page.count("Only the sender says this.") == page.count("It is.") == 1
    assert "shown above" not in page


def test_a_call_without_an_end_says_so() -> None:
    """It was shown as a call about to begin, with nothing about what became of it."""
    page = page_of(ledger_of_a_call(is_answered=False))
    assert '<span class="outcome incomplete">incomplete</span>' in page
    assert "no end of it was recorded" in page


def test_a_text_that_was_sent_again_leads_to_where_it_stands() -> None:
    """Once in full, then by a link inside the page."""
    ledger = Ledger()
    chain = ledger.open_chain()
    question = ledger.text("Is this host compromised?")
    for _ in range(2):
        chain.append({"event_type": "model_call", "input": [part(question, role="user")], "outcome": "success"})
    page = page_of(ledger)
    (target,) = re.findall(r'href="#(c[0-9a-f]{64})"', page)
    assert page.count("Is this host compromised?") == 1
    assert f'id="{target}"' in page


def test_the_head_says_how_far_the_proofs_reach() -> None:
    """A page that shows unproved rows like proved ones would be believed for the bundle."""
    ledger = ledger_of_a_call(is_answered=True)
    whole = page_of(ledger, proved=3, held=7)
    assert "for 3 of 3 rows<" in whole
    assert "its proof leads to the checkpoint of size 7</p>" in whole
    partly = page_of(ledger, proved=2, unsigned="the key is not here")
    assert "for 2 of 3 rows; 1 HAVE NONE" in partly
    assert "no proof: not sealed yet" in partly
    assert "which no anchor took yet" in partly
    assert "NONE: nothing outside vouches" in partly
    assert "rows may have been left out: the key is not here" in partly


def test_altered_rows_and_texts_are_marked_where_they_are_read() -> None:
    """A reader of the page alone must not take them for what was recorded."""
    ledger = ledger_of_a_call(is_answered=True)
    assert "ALTERED" not in page_of(ledger)
    rows = list(map(row_tuple, ledger.rows))
    rows[2] = edited(rows[2], env=rows[2][4].replace(b"success", b"failure"))
    assert page_of(ledger, rows=rows).count("ALTERED") == 1
    ref, content = next(iter(ledger.contents.items()))
    ledger.contents[ref] = Content(ref, content.content_class, content.media, content.size, b"It is not.")
    assert page_of(ledger).count("ALTERED") == 1


def test_the_words_of_an_error_stand_there() -> None:
    """Its type alone does not tell a reader what the provider said."""
    ledger = Ledger()
    message = ledger.text("the account has no credit left")
    error = {"type": "RateLimitError", "message_ref": message.ref.hex()}
    ledger.open_chain().append({"event_type": "model_call", "outcome": "error", "error": error})
    assert "the account has no credit left" in page_of(ledger)


def test_a_span_of_an_absurd_time_is_no_crash() -> None:
    """Applications set times; the page shows what it can."""
    ledger = Ledger()
    ledger.open_chain().append(
        {"event_type": "span", "time": {"start": "9" * 30, "end": "9" * 19}, "outcome": "success"}
    )
    assert page_of(ledger).count("<article") == 2


def test_a_text_that_was_withheld_is_never_what_stands_above() -> None:
    """Another tenant recorded the same words: they stand where they were, and each article says whose it is."""
    ledger = Ledger(tenant="acme")
    chain = ledger.open_chain()
    question = ledger.text("Is this host compromised?")
    withheld = {**part(question, role="user"), "class": "withheld"}
    chain.append({"event_type": "model_call", "input": [withheld], "outcome": "success"})
    rows = list(map(row_tuple, ledger.rows))
    other = Ledger(tenant="globex", now_ns=ledger.now_ns)
    other.open_chain().append({"event_type": "model_call", "input": [part(question, role="user")]})
    page = page_of(ledger, rows=rows + list(map(row_tuple, other.rows)))
    assert (page.count("withheld: only its reference"), page.count("shown above")) == (1, 0)
    assert page.count("<pre>Is this host compromised?</pre>") == 1
    assert "2 IN ONE BUNDLE: acme, globex" in page
    assert page.count("<dt>Tenant</dt><dd>acme</dd>") == 2
    assert "<dt>Tenant</dt>" not in page_of(ledger)


def test_the_head_sums_up_what_happened_and_what_it_cost() -> None:
    """A reader sees at once how much there is, and that an unknown price is no price of nothing."""
    ledger = Ledger()
    chain = ledger.open_chain()
    for cost in ({"usd": "0.0125"}, {"usd": "0.003"}, {}, {"usd": "NaN"}):
        chain.append({"event_type": "model_call", "outcome": "success", **({"cost": cost} if cost else {})})
    chain.append({"event_type": "human_review", "name": "human_review", "review": {"action": "approve"}})
    page = page_of(ledger)
    assert "4 × model call, 1 × human review, for 0.0155 USD (2 of 4 model calls at an unknown price)" in page
    empty = Ledger()
    empty.open_chain()
    assert "nothing but the recording itself" in page_of(empty)


def test_times_name_their_zone_and_recorded_text_cannot_turn_the_page_around() -> None:
    """A case id with a direction override read backwards, in the heading of the evidence."""
    ledger = Ledger()
    context = {"case_id": "\u202elive"}
    ledger.open_chain().append({"event_type": "decision", "name": "decision refund?", "context": context})
    page = page_of(ledger)
    assert "\u202e" not in page
    assert "<dd>\\u202elive</dd>" in page
    assert "<dt>Made</dt><dd>2026-11-21 20:00:00 UTC</dd>" in page
    assert re.search(r"<time>[0-9: .-]{23} UTC</time> <b>decision</b> refund\?", page)
    assert not re.search(r"\d\dZ", page)
