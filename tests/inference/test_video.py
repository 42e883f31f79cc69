"""Streams: the frames of isp, in order, made ahead, and refused in their turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from host_factories import ISSUER, NOW, capture, host_key, scene, sealed

from adc_firmware import ForeignFrameError, PrivateFrame
from inference.errors import InputMismatchError
from inference.imaging import isp
from inference.session import Session, open_session
from inference.video import stream


@pytest.fixture
def session(tmp_path) -> Session:
    (tmp_path / "sealed.bin").write_bytes(sealed())
    return open_session(tmp_path, host_key("lab"), ISSUER.public_key(), now=NOW)


def frames(count: int) -> list[PrivateFrame]:
    return [capture(sealed(), scene(seed=number)) for number in range(count)]


@pytest.mark.parametrize("ahead", [1, 2, 7])
def test_a_stream_gives_every_frame_in_order(session: Session, ahead: int) -> None:
    given = frames(5)
    found = list(stream(given, session, size=(6, 8), ahead=ahead))
    assert len(found) == 5
    for one, frame in zip(found, given, strict=True):
        assert torch.equal(one.reveal(), isp(frame, session, size=(6, 8)).reveal())


def test_the_next_frame_is_made_while_the_caller_has_this_one(session: Session) -> None:
    asked = [threading.Event() for _ in range(3)]

    def source() -> Iterator[PrivateFrame]:
        for event, frame in zip(asked, frames(3), strict=True):
            event.set()
            yield frame

    received = stream(source(), session)
    next(received)
    assert asked[1].wait(10)
    assert not asked[2].is_set()


def test_a_refusal_comes_in_its_frames_turn(session: Session) -> None:
    foreign = capture(sealed(epoch=2), scene())
    received = stream([*frames(2), foreign, *frames(1)], session)
    assert [next(received).shape[0] for _ in range(2)] == [1, 1]
    with pytest.raises(ForeignFrameError):
        next(received)
    assert list(received) == []


def test_a_stream_may_be_left_and_may_be_empty(session: Session) -> None:
    asked = []
    received = stream((asked.append(None) or frame for frame in frames(50)), session)
    next(received)
    received.close()
    assert len(asked) <= 3
    assert list(stream([], session)) == []
    assert threading.active_count() < 50


def test_no_frame_ahead_is_refused_at_once(session: Session) -> None:
    with pytest.raises(InputMismatchError, match="0 frames"):
        stream(frames(1), session, ahead=0)


def test_every_frame_has_an_order_of_its_own(session: Session) -> None:
    first, second = (one.layout.table for one in stream(frames(1) * 2, session))
    assert not np.array_equal(first, second)
