"""What programs do with the methods of a client besides calling them: the answers are those of the library alone."""

from __future__ import annotations

import copy
import inspect
import pickle
import typing
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import openai
import pytest
from openai.resources.chat.completions import AsyncCompletions, Completions
from openai.resources.embeddings import AsyncEmbeddings, Embeddings

from openai_client.conftest import CALL
from recorded_calls import Recorded

QUESTIONS: list[Callable[[Any], object]] = [
    inspect.signature,
    inspect.getfullargspec,
    inspect.getsource,
    inspect.iscoroutinefunction,
    inspect.isfunction,
    typing.get_type_hints,
]


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
@pytest.mark.parametrize("owner", [Completions, AsyncCompletions, Embeddings, AsyncEmbeddings])
def test_a_question_about_a_method_has_the_answer_of_the_library(owner: Any, question: Callable[[Any], object]) -> None:
    """A framework decides by them how to call it."""
    original = vars(owner)["create"].__wrapped__
    assert type(original) is not type(vars(owner)["create"])
    assert question(owner.create) == question(original)


@pytest.mark.parametrize(
    "taken",
    [
        lambda method: method.__func__.__get__(method.__self__),
        lambda method: weakref.WeakMethod(method)(),
        lambda method: weakref.proxy(method.__func__).__get__(method.__self__),
        lambda method: pickle.loads(pickle.dumps(method.__func__)).__get__(method.__self__),  # noqa: S301  # our own
        lambda method: copy.deepcopy(method.__func__).__get__(method.__self__),
        copy.copy,
    ],
    ids=["__func__", "WeakMethod", "proxy", "pickle", "deepcopy", "copy"],
)
def test_a_method_that_was_taken_apart_is_recorded(
    client: openai.OpenAI, recorded: Recorded, taken: Callable[[Any], Callable[..., Any]]
) -> None:
    """Registries of callbacks keep methods so, and put them together again."""
    method = taken(client.chat.completions.create)
    assert method == client.chat.completions.create
    assert method(**CALL).choices
    assert len(recorded.spans) == 1


@pytest.mark.parametrize("autospec", [None, True])
def test_a_method_that_a_test_replaced_comes_back_recorded(
    client: openai.OpenAI, recorded: Recorded, autospec: bool | None
) -> None:
    """The stand-in is the application's own: nothing was asked of a provider."""
    with mock.patch.object(Completions, "create", autospec=autospec) as stand_in:
        client.chat.completions.create(**CALL)
    assert (stand_in.call_count, len(recorded.spans)) == (1, 0)
    client.chat.completions.create(**CALL)
    assert len(recorded.spans) == 1


def test_a_method_of_a_subclass_that_calls_the_one_below_is_recorded_once(
    client: openai.OpenAI, recorded: Recorded
) -> None:
    """Gateways subclass resources to add what they need."""

    class Gateway(Completions):
        def create(self, **arguments: Any) -> Any:
            return super().create(**arguments)

    assert Gateway(client.with_options(timeout=5)).create(**CALL).choices
    assert len(recorded.spans) == 1
