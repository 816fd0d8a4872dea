"""Streams and credits: nothing lost, nothing sent without a credit, order kept per choice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twinkle_worker.protocol import End, Failure, GenerateEnd, TokenDelta
from twinkle_worker.streams import StreamTable, merge

END = End(id=1, value=GenerateEnd(1, 1, 0))


def delta(text: str, choice: int = 0, finish: str | None = None) -> TokenDelta:
    return TokenDelta(choice, text, [len(text)], finish=finish)


def test_items_go_out_while_there_are_credits_and_merge_afterwards() -> None:
    table = StreamTable()
    table.open(1, credits=1)
    batch: list[tuple[int, TokenDelta]] = []
    for text in ("a", "b", "c"):
        table.item(1, delta(text), batch)
    assert [item.text for _, item in batch] == ["a"]
    items = table.grant(1, 1)
    assert items is not None
    assert [(item.text, item.token_ids) for _, item in items.items] == [("bc", [1, 1])]


def test_an_end_takes_along_what_waits() -> None:
    """A receiver that reads no more grants no more: the stream must not stay open for it."""
    table = StreamTable()
    table.open(1, credits=0)
    for text in ("a", "b"):
        table.item(1, delta(text), [])
    table.item(1, delta("c", choice=1, finish="stop"), [])
    items, ending = table.end(END)
    assert items is not None
    assert [(item.choice, item.text) for _, item in items.items] == [(0, "ab"), (1, "c")]
    assert ending is END
    assert 1 not in table
    assert table.grant(1, 5) is None


def test_a_failure_takes_nothing_along() -> None:
    table = StreamTable()
    table.open(1, credits=0)
    table.item(1, delta("a"), [])
    failure = Failure(1, "ENGINE_ERROR", "broken", None, None)
    assert table.end(failure) == (None, failure)
    assert table.end(END) == (None, None)


def test_merge_keeps_logprobs_prompt_and_the_later_finish() -> None:
    merged = merge(TokenDelta(0, "a", [1], logprobs=[]), TokenDelta(0, "b", [2], finish="length", stop_reason=None))
    assert (merged.text, merged.token_ids, merged.finish, merged.logprobs) == ("ab", [1, 2], "length", [])


@given(
    st.lists(st.one_of(st.tuples(st.just("item"), st.integers(0, 2)), st.tuples(st.just("grant"), st.integers(1, 3))))
)
def test_every_token_arrives_once_in_order_and_only_on_credit(script: list[tuple[str, int]]) -> None:
    table = StreamTable()
    table.open(1, credits=2)
    credits, produced, received = 2, {0: "", 1: "", 2: ""}, {0: "", 1: "", 2: ""}
    for count, (kind, value) in enumerate(script):
        sent: list[tuple[int, TokenDelta]] = []
        if kind == "item":
            letter = chr(97 + count % 26)
            produced[value] += letter
            table.item(1, delta(letter, value), sent)
        else:
            credits += value
            items = table.grant(1, value)
            sent = [] if items is None else list(items.items)
        credits -= len(sent)
        assert credits >= 0
        for _, item in sent:
            received[item.choice] += item.text
    items = table.grant(1, 100)
    for _, item in items.items if items is not None else []:
        received[item.choice] += item.text
    assert received == produced
