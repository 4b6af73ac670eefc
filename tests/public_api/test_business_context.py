"""Case, actor, session, versions in force: where they reach, and where they end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import baggage, propagate
from opentelemetry.context import attach, detach, get_current

from spanledger import BusinessContext, actor, case, context, dataset, policy, prompt, retrieval_index, session, trigger
from spanledger_semconv.context import read_business_context


def now() -> Mapping[str, Any]:
    """Read what a span that starts here would be told."""
    current = get_current()
    return read_business_context(current, baggage.get_all(current))


def case_now() -> str | None:
    """Read the case only."""
    value = now().get("spanledger.case.id")
    return None if value is None else str(value)


def test_values_hold_inside_their_block_and_nowhere_else() -> None:
    """Before and after, nothing is said."""
    with case("C-1"):
        assert case_now() == "C-1"
    assert case_now() is None


def test_an_inner_block_wins_and_adds() -> None:
    """The case of the inner block, the actor of the outer one."""
    with case("outer"), actor("bot", type="agent", role="first line", run_id="r1"), case("inner"):
        assert now() == {
            "spanledger.case.id": "inner",
            "spanledger.actor.id": "bot",
            "spanledger.actor.type": "agent",
            "spanledger.actor.role": "first line",
            "spanledger.actor.run_id": "r1",
        }


def test_every_kind_of_context_has_its_attributes() -> None:
    """The names are the registry's."""
    with (
        session("s", user="u"),
        trigger("nightly"),
        prompt("triage", version="2", template="Sort {alert}"),
        retrieval_index("rules", version="7", digest="ab"),
        policy("aml", version="3"),
        dataset("alerts", version="1"),
        context(desk="4"),
    ):
        found = now()
    assert found["spanledger.session.id"] == "s"
    assert found["spanledger.user.id"] == "u"
    assert found["spanledger.trigger"] == "nightly"
    assert found["gen_ai.prompt.name"] == "triage"
    assert found["spanledger.prompt.template"] == "Sort {alert}"
    assert found["spanledger.retrieval.index.version"] == "7"
    assert found["spanledger.policy.name"] == "aml"
    assert found["spanledger.dataset.version"] == "1"
    assert found["spanledger.context.desk"] == "4"


def test_a_block_ends_although_its_body_raises() -> None:
    """An exception must not leave a case behind for the next request."""
    with pytest.raises(KeyError), case("C-1"):
        raise KeyError
    assert case_now() is None


def test_one_block_object_is_not_entered_twice() -> None:
    """The second exit would restore the wrong context."""
    block = case("C-1")
    with block, pytest.raises(RuntimeError, match="make a new one"), block:
        pass
    assert case_now() is None


# Decorators.


def test_a_decorated_function_keeps_its_name_and_value() -> None:
    """It is the same function to everybody else."""

    @case("C-1")
    def work(a: int, *, b: int) -> tuple[str | None, int]:
        """Do it."""
        return case_now(), a + b

    assert work(1, b=2) == ("C-1", 3)
    assert (work.__name__, work.__doc__) == ("work", "Do it.")


async def test_a_decorated_coroutine_holds_its_values_across_awaits() -> None:
    """Two of them at once do not mix."""

    async def work() -> str | None:
        await asyncio.sleep(0)
        return case_now()

    assert [*await asyncio.gather(case("A")(work)(), case("B")(work)(), work())] == ["A", "B", None]


def test_a_decorated_generator_holds_its_values_only_while_it_runs() -> None:
    """Between two items the caller's own case is back."""

    @case("inside")
    def items() -> Iterator[str | None]:
        yield case_now()
        yield case_now()

    with case("outside"):
        seen = [(item, case_now()) for item in items()]
    assert seen == [("inside", "outside"), ("inside", "outside")]


async def test_a_decorated_asynchronous_generator_does_the_same() -> None:
    """Streaming endpoints are written like this."""

    @case("inside")
    async def items() -> AsyncIterator[str | None]:
        yield case_now()
        await asyncio.sleep(0)
        yield case_now()

    with case("outside"):
        seen = [(item, case_now()) async for item in items()]
    assert seen == [("inside", "outside"), ("inside", "outside")]


def test_a_generator_passes_on_what_is_sent_and_thrown_and_returned() -> None:
    """The decorator is invisible to the generator's protocol."""

    @case("C-1")
    def talk() -> Any:
        heard = yield "ready"
        try:
            yield heard
        except ValueError:
            yield "caught"
        return "end"

    generator = talk()
    assert next(generator) == "ready"
    assert generator.send("hello") == "hello"
    assert generator.throw(ValueError()) == "caught"
    with pytest.raises(StopIteration, match="end"):
        next(generator)


def test_closing_a_decorated_generator_closes_the_inner_one() -> None:
    """Files and connections of the application are released at once."""
    closed: list[str | None] = []

    @case("C-1")
    def items() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(case_now())

    generator = items()
    next(generator)
    generator.close()  # type: ignore[attr-defined]  # an iterator to its callers, a generator in fact
    assert closed == ["C-1"]


# Threads, tasks, services.


def test_a_plain_thread_starts_without_context() -> None:
    """Python's rule, not ours: the README says how to carry it over."""
    seen: list[str | None] = []
    with case("C-1"):
        thread = threading.Thread(target=lambda: seen.append(case_now()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_copied_context_carries_the_case_into_a_pool() -> None:
    """`contextvars.copy_context()` per submitted job."""
    with ThreadPoolExecutor(1) as pool, case("C-1"):
        assert pool.submit(contextvars.copy_context().run, case_now).result() == "C-1"


async def test_to_thread_and_tasks_carry_the_case_by_themselves() -> None:
    """Asyncio copies the context."""
    with case("C-1"):
        task = asyncio.create_task(asyncio.to_thread(case_now))
    assert await task == "C-1"


def test_the_case_travels_to_another_service_in_the_headers() -> None:
    """W3C baggage: inject here, extract there."""
    headers: dict[str, str] = {}
    with case("C-1"), actor("bot"), session("s", user="u-7"), context(desk="4"):
        propagate.inject(headers)
    token = attach(propagate.extract(headers))
    try:
        assert now() == {
            "spanledger.case.id": "C-1",
            "spanledger.actor.id": "bot",
            "spanledger.session.id": "s",
        }
    finally:
        detach(token)
    assert "u-7" not in str(headers)


def test_a_case_that_must_not_leave_the_process_does_not() -> None:
    """Baggage goes to model providers too."""
    headers: dict[str, str] = {}
    with case("C-1", propagate=False):
        propagate.inject(headers)
        assert case_now() == "C-1"
    assert "C-1" not in str(headers)


# Blocks inside blocks: what was said of one thing is not said of another.


def test_another_policy_does_not_inherit_the_version_of_the_outer_one() -> None:
    """A version that nobody stated must not stand in the row of the inner policy."""
    with policy("outer", version="7"):
        with policy("inner"):
            assert now() == {"spanledger.policy.name": "inner"}
        assert now()["spanledger.policy.version"] == "7"


def test_another_actor_has_no_role_type_or_run_of_the_outer_one() -> None:
    """A person who acts inside an agent's run is no agent."""
    with actor("bot", type="agent", role="first line", run_id="r1"), actor("m.keller"):
        assert now() == {"spanledger.actor.id": "m.keller"}


def test_another_session_serves_nobody_that_the_outer_one_named() -> None:
    """The user of one session is not the user of the next."""
    with session("s-1", user="u-1"), session("s-2"):
        assert now() == {"spanledger.session.id": "s-2"}


def test_the_same_thing_named_again_keeps_what_was_said_of_it() -> None:
    """An inner function may name its policy without knowing the version that its caller stated."""
    with policy("aml", version="7"), policy("aml"):
        assert now()["spanledger.policy.version"] == "7"


def test_nothing_of_a_remote_caller_is_mixed_into_what_is_said_here() -> None:
    """The role came in with a request's baggage and belongs to the actor over there."""
    headers: dict[str, str] = {}
    with actor("bot", type="agent", role="first line"):
        propagate.inject(headers)
    token = attach(propagate.extract(headers))
    try:
        with actor("teller"):
            assert now() == {"spanledger.actor.id": "teller"}
    finally:
        detach(token)


@pytest.mark.parametrize("inner", [case("secret", propagate=False), case("x" * 513)])
def test_the_outer_case_does_not_travel_from_inside_another_case(inner: BusinessContext) -> None:
    """The inner one stays in the process, or is too long; the other service must not be told the wrong one."""
    headers: dict[str, str] = {}
    with case("outer"), actor("bot"), inner:
        propagate.inject(headers)
    assert headers["baggage"] == "spanledger.actor.id=bot"
