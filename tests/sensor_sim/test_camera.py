"""The camera: which key it opens, what its frames hold, and when it may be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from camera_kit import ISSUER, device, enrol, open_sealed, plain, random_light, reveal, seal
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adc_firmware import SampleRangeError, write
from keyvault.errors import (
    AuthenticationError,
    EpochRollbackError,
    ExpiredGrantError,
    GrantFormatError,
    InputError,
    NotYetValidError,
    PolicyError,
    PrivcamError,
    UnknownIssuerError,
    WrongDeviceError,
)
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from sensor_sim import Camera, CameraSettings, CameraStateError, DnScene, LightScene, SceneError, Shot

POLICY = Policy(32, 24)
OTHER_VAULT = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
QUIET = CameraSettings(noise=False)


@pytest.fixture
def key(tmp_path: Path, home: Path) -> Path:
    enrol(home)
    return seal(tmp_path / "sealed.bin", POLICY)


@pytest.mark.parametrize(
    "policy",
    [
        POLICY,
        Policy(32, 24, Cfa.GBRG, bits=8, unit=Unit.QUAD),
        Policy(31, 23, Cfa.NONE, bits=10, scope="band:5"),
        Policy(31, 23, Cfa.NONE, 3, bits=16, scope="row"),
        Policy(32, 24, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED),
    ],
)
@pytest.mark.parametrize("noise", [True, False])
def test_the_key_holder_finds_what_a_plain_camera_would_put_out(
    tmp_path: Path, home: Path, policy: Policy, noise: bool
) -> None:
    enrol(home)
    key = seal(tmp_path / "sealed.bin", policy)
    settings = CameraSettings(shutter_us=7_000, gain=1.5, noise=noise, seed=3)
    scene = random_light(policy.width, policy.height)
    with Camera(key, scene=scene, settings=settings) as camera:
        frames = list(camera.frames(2))
    for number, frame in enumerate(frames):
        assert np.array_equal(reveal(frame, open_sealed(key)), plain(scene, policy, settings, Shot(3, number)))
        header = frame.header
        assert header.counter == number
        assert (header.exposure_us, header.gain_milli, header.white_balance) == (7_000, 1_500, (1024, 1024, 1024))
        assert (header.black_level, header.white_level) == (2**policy.bits // 64, 2**policy.bits - 1)
        assert header.policy == policy


def test_a_frame_can_be_made_again_without_those_before_it(key: Path) -> None:
    settings = CameraSettings(seed=77)
    with Camera(key, settings=settings) as camera:
        first = [reveal(frame, open_sealed(key)) for frame in camera.frames(4)]
    with Camera(key, settings=settings) as camera:
        third = camera.capture(number=2)
    assert np.array_equal(reveal(third, open_sealed(key)), first[2])
    assert not np.array_equal(first[1], first[2])


def test_noise_is_new_without_a_seed_and_the_seed_is_told(key: Path) -> None:
    with Camera(key) as camera:
        seed, first = camera.seed, reveal(camera.capture(), open_sealed(key))
    with Camera(key) as camera:
        assert not np.array_equal(reveal(camera.capture(), open_sealed(key)), first)
    with Camera(key, settings=CameraSettings(seed=seed)) as camera:
        assert np.array_equal(reveal(camera.capture(), open_sealed(key)), first)


def test_scenes_may_change_from_frame_to_frame(key: Path) -> None:
    scenes = [DnScene(np.full((24, 32), level), 3, 4000) for level in (5, 9)]
    with Camera(key, scene=random_light(32, 24), settings=QUIET) as camera:
        frames = [camera.capture(scene) for scene in scenes]
        assert np.array_equal(reveal(camera.capture(), open_sealed(key)), plain(random_light(32, 24), POLICY))
        with pytest.raises(PolicyError):
            camera.capture(random_light(24, 32))
        with pytest.raises(SampleRangeError):
            camera.capture(DnScene(np.full((24, 32), 4096), 0, 4095))
    for scene, frame in zip(scenes, frames, strict=True):
        assert np.array_equal(reveal(frame, open_sealed(key)), scene.dn)
        assert (frame.header.black_level, frame.header.white_level) == (3, 4000)


def test_sessions_differ_and_so_do_their_stored_frames(key: Path) -> None:
    frames = []
    for _ in range(2):
        with Camera(key, settings=QUIET) as camera:
            frames.append(camera.capture())
    assert frames[0].header.session != frames[1].header.session
    assert (frames[0].samples == frames[1].samples).mean() < 0.05


@pytest.mark.parametrize(
    "use",
    [
        lambda camera: camera.capture(),
        lambda camera: next(camera.frames(1)),
        lambda camera: camera.grant,
        lambda camera: camera.scene,
        lambda camera: camera.seed,
    ],
)
def test_a_camera_works_inside_its_with_only(key: Path, use: Callable) -> None:
    camera = Camera(key)
    with pytest.raises(CameraStateError):
        use(camera)
    with camera:
        use(camera)
        with pytest.raises(CameraStateError):
            camera.__enter__()
        use(camera)
    with pytest.raises(CameraStateError):
        use(camera)


def test_a_closed_camera_may_be_opened_again(key: Path) -> None:
    camera = Camera(key)
    with camera:
        first = camera.capture()
    with camera:
        second = camera.capture()
    assert first.header.counter == second.header.counter == 0
    assert first.header.session != second.header.session


def test_the_newest_valid_epoch_is_used(tmp_path: Path, home: Path) -> None:
    enrol(home)
    folder = tmp_path / "keys"
    folder.mkdir()
    days = {1: (-9, 1), 2: (-2, 1), 3: (-2, -1), 4: (1, 2)}
    keys = [seal(folder / f"{9 - epoch}.bin", POLICY, epoch=epoch, days=span) for epoch, span in days.items()]
    (folder / "firmware.bin").write_bytes(b"something else")  # is passed over
    for source in (folder, str(folder), keys, [keys[0], folder]):
        with Camera(source) as camera:
            assert camera.grant.epoch == 2
    with pytest.raises(EpochRollbackError), Camera(keys[0]):
        pass
    with Camera(keys[0], device=enrol(tmp_path / "other")) as camera:  # a device that has used no key yet
        assert camera.grant.epoch == 1
    with pytest.raises(ExpiredGrantError), Camera(keys[2]):
        pass
    with pytest.raises(NotYetValidError), Camera([keys[2], keys[3]]):
        pass


def test_keys_of_other_sensors_are_passed_over(tmp_path: Path, home: Path) -> None:
    mine, other = device("mine", 1), device("other", 2)
    file = enrol(home, mine)
    keys = [
        seal(tmp_path / "a.bin", POLICY, owner=other, epoch=5),
        seal(tmp_path / "b.bin", POLICY, owner=mine, epoch=2),
    ]
    with Camera(keys) as camera:
        assert (camera.grant.sensor, camera.grant.epoch) == ("mine", 2)
    enrol(home, other)
    with pytest.raises(InputError, match="mine, other"), Camera(keys):
        pass
    for chosen in (mine, file, str(file)):
        with Camera(keys, device=chosen) as camera:
            assert camera.grant.sensor == "mine"


def test_devices_of_two_vaults_live_in_one_home(tmp_path: Path, home: Path) -> None:
    enrol(home, device("mine", 1))
    enrol(home, device("theirs", 2, OTHER_VAULT))
    mine = seal(tmp_path / "a.bin", POLICY, owner=device("mine", 1))
    theirs = seal(tmp_path / "b.bin", POLICY, owner=device("theirs", 2, OTHER_VAULT), issuer=OTHER_VAULT)
    for key, sensor in ((mine, "mine"), (theirs, "theirs")):
        with Camera(key) as camera:
            assert camera.grant.sensor == sensor


def broken(tmp_path: Path, kind: str) -> Path:
    path = seal(tmp_path / "sealed.bin", POLICY)
    data = path.read_bytes()
    if kind == "missing":
        return tmp_path / "missing.bin"
    path.write_bytes(
        {
            "empty": b"",
            "truncated": data[: len(data) // 2],
            "cut at the end": data[:-1],
            "of another type": b"\x89PNG\r\n\x1a\n" + bytes(100),
            "changed": data[:-5] + (b"B" if data[-5:-4] == b"A" else b"A") + data[-4:],
        }[kind]
    )
    return path


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("missing", InputError),
        ("empty", GrantFormatError),
        ("truncated", GrantFormatError),
        ("cut at the end", PrivcamError),
        ("of another type", GrantFormatError),
        ("changed", AuthenticationError),
    ],
)
def test_broken_keys_are_refused(tmp_path: Path, home: Path, kind: str, error: type[PrivcamError]) -> None:
    enrol(home)
    with pytest.raises(error), Camera(broken(tmp_path, kind)):
        pass


def test_wrong_devices_are_refused(tmp_path: Path, home: Path) -> None:
    key = seal(tmp_path / "sealed.bin", POLICY)
    with pytest.raises(InputError, match="no device file"), Camera(key):
        pass
    enrol(home, device("neighbour", 2))
    with pytest.raises(WrongDeviceError, match=r"cam\.json"), Camera(key):
        pass
    enrol(home, device("cam", 3))  # enrolled again since
    with pytest.raises(WrongDeviceError, match="not the one enrolled"), Camera(key):
        pass
    with pytest.raises(WrongDeviceError, match="neighbour"), Camera(key, device=device("neighbour", 2)):
        pass
    with pytest.raises(UnknownIssuerError), Camera(key, device=device("cam", 1, OTHER_VAULT)):
        pass


def test_a_private_frame_is_no_scene(key: Path, tmp_path: Path) -> None:
    with Camera(key, device=device()) as camera:
        write(camera.capture(), tmp_path / "frame.dng")
    with pytest.raises(SceneError, match="is a private frame"), Camera(key, scene=tmp_path / "frame.dng"):
        pass


def test_folders_without_keys_are_refused(tmp_path: Path, home: Path) -> None:
    enrol(home)
    for source in (tmp_path, []):
        with pytest.raises(InputError, match="no sealed key"), Camera(source):
            pass


def test_scenes_are_checked_on_entering(key: Path, tmp_path: Path) -> None:
    for scene in (random_light(24, 32), DnScene(np.zeros((24, 24), int), 0, 255)):
        with pytest.raises(PolicyError), Camera(key, scene=scene):
            pass
    with pytest.raises(InputError), Camera(key, scene=tmp_path / "missing.png"):
        pass


def test_a_failed_entry_leaves_the_camera_closed(key: Path) -> None:
    camera = Camera(key, scene=LightScene(np.zeros((2, 2, 3))))
    for _ in range(2):
        with pytest.raises(PolicyError):
            camera.__enter__()
    with pytest.raises(CameraStateError):
        camera.capture()


def test_the_issuer_of_these_tests_is_not_the_other_one() -> None:
    assert ISSUER.public_key() != OTHER_VAULT.public_key()
