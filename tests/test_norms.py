"""Norms of rows, over all the range of the numbers."""

import math

import pytest
import torch

from clever.norms import Norm

ROWS = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("exponent", [-300, -160, -38, -30, -20, 0, 18, 25, 35, 153, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("norm", Norm)
def test_norms_scale_with_their_rows(norm: Norm, dtype: torch.dtype, exponent: int) -> None:
    rows = ROWS * 10.0**exponent
    expected = norm.of(ROWS) * 10.0**exponent
    if dtype is torch.float32 and not 1e-38 < float(expected.min()) < 1e37:
        pytest.skip("outside the range of single precision")
    found = norm.of(rows.to(dtype))
    assert found.dtype == dtype
    precision = 1e-5 if dtype is torch.float32 else 1e-12
    # 1e-38: the rows' small entries are denormal
    torch.testing.assert_close(found.double(), expected, rtol=precision if exponent > -38 else 1e-3, atol=0)


def test_rows_of_every_size_stand_side_by_side() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [3e-30, 4e-30], [3e30, -4e30], [math.inf, 1.0], [math.nan, 1.0]])
    for norm, expected in ((Norm.L1, 7.0), (Norm.L2, 5.0), (Norm.LINF, 4.0)):
        found = norm.of(rows)
        wanted = torch.tensor([expected, 0.0, expected * 1e-30, expected * 1e30, math.inf, math.nan])
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0, equal_nan=True)


def test_what_is_in_range_is_the_plain_norm_to_the_last_bit() -> None:
    rows = ROWS.flatten(1).float()
    assert torch.equal(Norm.L2.of(rows), torch.linalg.vector_norm(rows, dim=1))
    beside = torch.cat([rows, 0 * rows[:1]])
    assert torch.equal(Norm.L2.of(beside)[:-1], Norm.L2.of(rows))
