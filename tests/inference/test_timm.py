"""The networks of timm give the plain result, or are refused as docs/timm.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import timm_zoo

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "timm.md"

#: Of different families, those that take a second or two.
QUICK = (
    "convnext_atto",
    "darknet17",
    "dla46x_c",
    "ese_vovnet19b_slim",
    "gernet_s",
    "ghostnet_050",
    "hrnet_w18_small",
    "mobilevit_xxs",
    "nf_resnet26",
    "poolformer_s12",
    "regnetx_002",
    "resnet10t",
    "resnetv2_18",
    "tf_mobilenetv3_small_075",
    "tinynet_e",
    "vit_tiny_patch16_224",
)


def documented() -> dict[str, bool]:
    """The architectures of the table, and whether it says that they convert."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| (equal|refused) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: result == "equal" for name, result in rows}


def test_the_document_lists_what_is_tried() -> None:
    assert list(documented()) == list(timm_zoo.ARCHITECTURES)
    assert set(QUICK) <= {name for name, equal in documented().items() if equal}


@pytest.mark.parametrize("name", QUICK)
def test_quick_networks_give_the_plain_result(name: str) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    outcome = timm_zoo.attempt(name)
    assert outcome.equal, outcome


@pytest.mark.full
@pytest.mark.parametrize("name", timm_zoo.ARCHITECTURES)
def test_every_network_does_what_the_document_says(name: str) -> None:
    pytest.importorskip("timm", reason="timm is not installed")
    outcome = timm_zoo.attempt(name)
    assert outcome.equal if documented()[name] else outcome.refused, outcome
