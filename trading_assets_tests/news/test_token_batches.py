"""Batches hold texts of nearly equal length, all of them once, and never more tokens than allowed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading_assets.news.token_batches import padding_share, token_batches


@given(st.lists(st.integers(2, 512), max_size=80), st.integers(1, 20), st.integers(16, 2_000))
def test_every_text_is_in_one_batch_and_no_batch_is_too_large(lengths: list[int], rows: int, tokens: int) -> None:
    batches = token_batches(lengths, most_rows=rows, most_tokens=tokens)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[position] for position in batch)
        assert len(batch) <= rows
        assert len(batch) * longest <= tokens or len(batch) == 1
    ends = [(lengths[batch[0]], lengths[batch[-1]]) for batch in batches]
    assert ends == sorted(ends), "the shortest come first"


def test_little_of_a_mixed_day_is_padding() -> None:
    lengths = [10 + (position * 7) % 30 for position in range(400)] + [480, 500, 512]
    sorted_share = padding_share(lengths, token_batches(lengths, most_rows=64, most_tokens=1024))
    as_they_came = [list(range(start, min(start + 32, len(lengths)))) for start in range(0, len(lengths), 32)]
    assert sorted_share < 0.06 < 0.4 < padding_share(lengths, as_they_came)
    assert padding_share([], []) == 0
