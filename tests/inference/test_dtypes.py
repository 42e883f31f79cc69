"""Half precision: a keyed network is as near to the float32 result as the plain one in the same precision."""

from __future__ import annotations

import pytest
import torch
import zoo
from keyed_helpers import pictures, shuffle

from inference.convert import secure


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["resnet", "mobilenet_v2", "vit"])
def test_half_precision(family: str, dtype: torch.dtype) -> None:
    make, size = zoo.SMALL[family]
    torch.manual_seed(0)
    x = pictures(2, size, torch.float32)
    plain = zoo.lively(make(), x)
    with torch.no_grad():
        exact = plain(x)
        plain, x = plain.to(dtype), x.to(dtype)
        rounded = plain(x)
    found = secure(plain, x)(shuffle(x))
    assert found.dtype == rounded.dtype == dtype
    own, keyed = (float((one.float() - exact).abs().max() / exact.abs().max()) for one in (rounded, found))
    assert 0 < keyed <= 3 * own
