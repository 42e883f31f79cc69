"""The chip: whom it serves, how it numbers, and what it never does twice."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np
import pytest
from chip_factories import EXPOSURE, ArraySource, chip, frame_of, open_grant, random_dn, signer

from adc_firmware import Converter, FrameError, SampleRangeError, SecureAdc
from keyvault.errors import PolicyError, WrongDeviceError
from keyvault.policy import Cfa, FrameKeys, Policy, Protection

POLICY = Policy(8, 6)


def test_frames_are_numbered_from_zero_in_one_session() -> None:
    adc = chip(open_grant(POLICY))
    headers = [adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE).header for _ in range(3)]
    assert [header.counter for header in headers] == [0, 1, 2]
    assert len({header.session for header in headers}) == 1


def test_every_start_is_a_session_of_its_own() -> None:
    opened = open_grant(POLICY)
    assert len({frame_of(opened).header.session for _ in range(20)}) == 20


def test_the_same_scene_never_looks_the_same() -> None:
    adc = chip(open_grant(POLICY))
    source = ArraySource(np.full((6, 8), 1000, np.uint16))
    looks = {adc.read_out(source, EXPOSURE).samples.tobytes() for _ in range(10)}
    assert len(looks) == 10


def test_a_fixed_key_is_the_same_for_all_frames_that_are_still_numbered() -> None:
    policy = replace(POLICY, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED)
    adc, source = chip(open_grant(policy)), ArraySource(random_dn(policy))
    first, second = (adc.read_out(source, EXPOSURE) for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)
    assert [first.header.counter, second.header.counter] == [0, 1]


def test_a_failed_readout_uses_its_number_up() -> None:
    adc = chip(open_grant(POLICY))
    dn = random_dn(POLICY)
    dn[0, 0] = 4096
    with pytest.raises(SampleRangeError):
        adc.read_out(ArraySource(dn), EXPOSURE)
    with pytest.raises(FrameError):
        adc.read_out(ArraySource(random_dn(POLICY)), replace(EXPOSURE, gain_milli=0))
    assert adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE).header.counter == 2


def test_a_source_that_breaks_uses_the_number_up() -> None:
    class Broken(ArraySource):
        def rows(self, first: int, last: int) -> np.ndarray:
            raise OSError("the scene is gone")

    adc = chip(open_grant(POLICY))
    with pytest.raises(OSError, match="the scene is gone"):
        adc.read_out(Broken(random_dn(POLICY)), EXPOSURE)
    assert adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE).header.counter == 1


def test_threads_never_share_a_number() -> None:
    adc, source = chip(open_grant(POLICY)), ArraySource(random_dn(POLICY))
    with ThreadPoolExecutor(8) as pool:
        frames = list(pool.map(lambda _: adc.read_out(source, EXPOSURE), range(200)))
    assert sorted(frame.header.counter for frame in frames) == list(range(200))


def _session_in_child(adc: SecureAdc, results: multiprocessing.SimpleQueue[tuple[bytes, int]]) -> None:
    header = adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE).header
    results.put((header.session, header.counter))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_chip_starts_a_session_of_its_own() -> None:
    adc = chip(open_grant(POLICY))
    before = adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE).header
    context = multiprocessing.get_context("fork")
    results: multiprocessing.SimpleQueue[tuple[bytes, int]] = context.SimpleQueue()
    child = context.Process(target=_session_in_child, args=(adc, results))
    child.start()
    session, counter = results.get()
    child.join()
    assert session != before.session
    assert counter == 0
    after = adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE).header
    assert (after.session, after.counter) == (before.session, 1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("same_number", [False, True])
def test_a_fork_repeats_nothing_and_hangs_nowhere(same_number: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread is taking a number meanwhile; in a namespace of its own the child may have its parent's pid."""
    adc = chip(open_grant(POLICY))
    before = adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE).header
    if same_number:
        monkeypatch.setattr("os.getpid", lambda: 1)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with adc._numbering.lock:
        child = context.Process(target=_send_session, args=(adc, sender))
        child.start()
        came = receiver.poll(30)
    child.kill()
    child.join()
    assert came
    assert receiver.recv() != before.session


def _send_session(adc: SecureAdc, sender: Connection) -> None:
    sender.send(adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE).header.session)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_chip_cannot_be_copied(duplicate: object) -> None:
    with pytest.raises(TypeError, match="not copied"):
        duplicate(chip(open_grant(POLICY)))  # type: ignore[operator]


def test_the_signing_key_must_be_the_grants() -> None:
    with pytest.raises(WrongDeviceError, match="another signing key for sensor front-door"):
        SecureAdc(open_grant(POLICY), signer(2), Converter(12, 16, 4096.0))


def test_the_converter_must_have_the_policys_depth() -> None:
    with pytest.raises(PolicyError, match="10 bits, the key is for 12"):
        chip(open_grant(POLICY), Converter(10, 16, 1024.0))


def test_header_says_how_the_frame_was_made() -> None:
    opened = open_grant(Policy(5, 3, Cfa.NONE, 3))
    header = frame_of(opened).header
    grant = opened.grant
    assert (header.sensor, header.epoch, header.key_id) == ("front-door", 7, grant.key_id)
    assert header.policy == grant.policy
    assert (header.black_level, header.white_level) == (16, 255)
    for name in ("exposure_us", "gain_milli", "white_balance", "timestamp_ns"):
        assert getattr(header, name) == getattr(EXPOSURE, name)


def test_secrets_do_not_show() -> None:
    opened = open_grant(POLICY)
    adc = chip(opened)
    frame = adc.read_out(ArraySource(random_dn(POLICY)), EXPOSURE)
    secrets = opened.frame_secrets(frame.header.frame_id)
    shown = repr((opened, secrets, adc, frame, frame.header))
    for secret in (opened.epoch_key, secrets.permutation_key, secrets.mask_key):
        assert secret is not None
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
