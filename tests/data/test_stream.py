"""Windows of the token stream: the same from any starting point, every token in its place."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archbench.data.stream import TokenStream


def stream(per_shard: int = 5, length: int = 8) -> TokenStream:
    return TokenStream(
        lambda shard, number: f"{shard} {number}",
        lambda texts: [[1000 * int(s) + int(n)] * (1 + int(n) % 3) for s, n in map(str.split, texts)],
        end=999,
        length=length,
        windows_per_shard=per_shard,
    )


@given(st.integers(0, 40), st.integers(1, 20))
def test_windows_do_not_depend_on_where_reading_starts(start: int, count: int) -> None:
    whole = stream().windows(0, 60)
    np.testing.assert_array_equal(stream().windows(start, count), whole[start : start + count])


def test_documents_are_packed_whole_with_an_end_after_each() -> None:
    flat = stream().windows(0, 5).ravel().tolist()
    expected = [token for n in range(40) for token in [*[n] * (1 + n % 3), 999]]
    assert flat == expected[:40]


def test_shards_start_anew() -> None:
    assert stream().windows(5, 1)[0][0] == 1000
