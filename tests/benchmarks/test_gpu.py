"""The script for one GPU, with small sizes on the CPU."""

import pytest

from benchmarks import gpu


@pytest.mark.exhaustive
def test_all_works_are_timed_and_shown():
    results = gpu.measure(1000)
    assert all(result.seconds > 0 and result.roofline > 0 for result in results)
    shown = gpu.table(results)
    assert [line.split(":")[0] for line in shown.splitlines()[2:]] == [
        *["| product", "| top_k"] * 2,
        "| gather_sum",
        *["| pool"] * 2,
        "| classify",
    ]
