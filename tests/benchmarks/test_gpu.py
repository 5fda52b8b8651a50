"""The script for one GPU, with small sizes on the CPU."""

import pytest

from benchmarks import gpu


@pytest.mark.exhaustive
def test_all_works_are_timed_and_shown():
    results = list(gpu.measure(1000))
    assert all(result.seconds > 0 and result.roofline > 0 for result in results)
    assert [line.split(":")[0] for line in list(gpu.table(results))[2:]] == [
        *["| product", "| top_k"] * 2,
        "| gather_sum",
        *["| pool"] * 2,
        "| classify",
    ]
