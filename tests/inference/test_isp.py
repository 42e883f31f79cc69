"""The keyed ISP equals the plain one, bit for bit, and never puts an image in order."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from isp_factories import header, in_true_order, plain_isp, random_dn, shuffled
from isp_reference import balanced, demosaiced, resized, srgb
from torch.nn import functional as F
from torchvision.transforms import v2

import inference.imaging.develop
from inference.errors import InputMismatchError
from inference.imaging import IspSettings, isp
from inference.imaging import plan as plans
from keyvault.permutation import Permutation
from keyvault.policy import Cfa, Policy, Unit

BAYER = [Cfa.RGGB, Cfa.BGGR, Cfa.GRBG, Cfa.GBRG]
METHODS = ["quad", "bilinear", "malvar"]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    cfa = draw(st.sampled_from(list(Cfa)))
    even = 2 if cfa is not Cfa.NONE else 1
    width, height = (even * draw(st.integers(1, 12)) for _ in range(2))
    quads = width % 2 == 0 and height % 2 == 0 and draw(st.booleans())
    return Policy(
        width,
        height,
        cfa,
        samples_per_photosite=draw(st.sampled_from([1, 3])) if cfa is Cfa.NONE else 1,
        bits=draw(st.integers(8, 16)),
        unit=Unit.QUAD if quads else Unit.PHOTOSITE,
        scope=draw(st.sampled_from(["frame", "row", "band:2"])) if height > 1 else "frame",
    )


@st.composite
def recipes(draw: st.DrawFn) -> IspSettings:
    normalised = draw(st.booleans())
    return IspSettings(
        size=draw(st.none() | st.tuples(st.integers(1, 20), st.integers(1, 20))),
        demosaic=draw(st.sampled_from(METHODS)),
        gamma=draw(st.sampled_from(["srgb", "none"])),
        mean=(0.4, 0.5, 0.3) if normalised else None,
        std=(0.2, 0.25, 0.3) if normalised else None,
        fit=draw(st.sampled_from(["stretch", "centre-crop"])),
    )


@given(policies(), recipes(), st.integers(0, 2**32))
@settings(deadline=None, max_examples=150, derandomize=True)
def test_keyed_equals_plain_bit_for_bit(policy: Policy, recipe: IspSettings, seed: int) -> None:
    head = header(policy, black=seed % 100)
    dn = random_dn(policy, seed)
    keyed = isp(shuffled(head, dn, seed), settings=recipe)
    plain = plain_isp(head, dn, recipe)
    assert keyed.values.is_contiguous(memory_format=torch.channels_last)
    assert keyed.values.dtype == torch.float32
    assert keyed.layout.axes == (2, 3)
    assert torch.equal(keyed.reveal(), plain)
    if recipe.size:
        assert keyed.shape == (1, 3, *recipe.size)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cfa", BAYER)
def test_the_integer_stages_equal_an_independent_reference(cfa: Cfa, method: str) -> None:
    for seed, (width, height, bits) in enumerate([(2, 2, 8), (4, 6, 10), (26, 18, 12), (34, 14, 16)]):
        policy = Policy(width, height, cfa, bits=bits)
        black, white = 2 ** (bits - 4), 2**bits - 7
        head, dn = header(policy, black, white, gains=(2_345, 1_024, 1_111)), random_dn(policy, seed)
        keyed = isp(shuffled(head, dn, seed), settings=IspSettings(demosaic=method, gamma="none")).reveal()
        expected = demosaiced(dn, str(cfa), method, (black, white, head.white_balance))
        assert np.array_equal(
            keyed[0].permute(1, 2, 0).numpy(), expected.astype(np.float32) / np.float32(white - black)
        )


def test_a_constant_colour_stays_that_colour_up_to_the_border() -> None:
    for cfa in BAYER:
        policy = Policy(10, 8, cfa)
        head = header(policy, black=96, white=4_095, gains=(1_024, 1_024, 1_024))
        colours = np.array([1_000, 2_000, 3_000])["RGB".index(cfa[0])], [*cfa]
        quad = np.array([[1_000, 2_000, 3_000]["RGB".index(letter)] for letter in colours[1]]).reshape(2, 2)
        dn = (np.tile(quad, (4, 5)) + 96).astype(np.uint16)
        for method in METHODS:
            image = isp(shuffled(head, dn), settings=IspSettings(demosaic=method, gamma="none")).reveal()
            for channel, level in enumerate((1_000, 2_000, 3_000)):
                assert (image[0, channel] == np.float32(level) / np.float32(3_999)).all()


@pytest.mark.parametrize("samples", [1, 3])
def test_sensors_without_a_colour_filter_array(samples: int) -> None:
    policy = Policy(7, 5, Cfa.NONE, samples_per_photosite=samples)
    head, dn = header(policy, black=100), random_dn(policy)
    image = isp(shuffled(head, dn), settings=IspSettings(gamma="none")).reveal()[0].permute(1, 2, 0).numpy()
    gains = np.array(head.white_balance) if samples == 3 else 1_024
    expected = np.clip(balanced(dn.reshape(5, 7, samples), gains, 100, 4_095), 0, None)
    assert np.array_equal(image, np.broadcast_to(expected, (5, 7, 3)).astype(np.float32) / np.float32(3_995))


def test_replayed_eight_bit_images_come_back_exactly() -> None:
    """A quad mean of DN = black + 16 v is v / 255 in float32, and its normalisation is torchvision's."""
    image = torch.arange(256, dtype=torch.uint8).repeat(12).reshape(32, 32, 3)
    mosaic = np.empty((64, 64), np.uint16)
    for phase, letter in enumerate("RGGB"):
        mosaic[phase // 2 :: 2, phase % 2 :: 2] = 15 + 16 * image[:, :, "RGB".index(letter)].numpy().astype(np.uint16)
    head = header(Policy(64, 64), black=15, white=4_095, gains=(1_024, 1_024, 1_024))
    frame = shuffled(head, mosaic)
    exact = image.permute(2, 0, 1).float() / 255
    assert torch.equal(isp(frame, settings=IspSettings(demosaic="quad", gamma="none")).reveal()[0], exact)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    recipe = IspSettings(demosaic="quad", gamma="none", mean=mean, std=std)
    assert torch.equal(isp(frame, settings=recipe).reveal()[0], v2.functional.normalize(exact, mean, std))


def test_gamma_is_that_of_srgb() -> None:
    policy = Policy(64, 64, Cfa.NONE, bits=12)
    dn = np.arange(4_096, dtype=np.uint16).reshape(64, 64)
    image = isp(shuffled(header(policy, black=0, white=4_095), dn)).reveal()[0, 1].flatten().double()
    expected = torch.tensor([srgb(v / 4_095) for v in range(4_096)], dtype=torch.float64)
    assert (image - expected).abs().max() < 1e-7


@pytest.mark.parametrize("size", [(7, 5), (24, 40), (31, 10), (1, 1), (48, 17), (100, 90)])
def test_resize_is_torch_antialiased_bilinear(size: tuple[int, int]) -> None:
    head = header(Policy(40, 24))
    frame = shuffled(head, random_dn(head.policy))
    whole = isp(frame).reveal().double()
    expected = F.interpolate(whole, size, mode="bilinear", antialias=True, align_corners=False)
    assert (isp(frame, size=size).reveal() - expected).abs().max() < 1e-6


@pytest.mark.parametrize("size", [(7, 5), (48, 17), (24, 11), (30, 40), (1, 1)])
def test_resize_equals_an_independent_reference_bit_for_bit(size: tuple[int, int]) -> None:
    head = header(Policy(40, 24))
    frame = shuffled(head, random_dn(head.policy))
    whole = isp(frame).reveal()[0].numpy()
    for axis in (2, 1):
        whole = whole if whole.shape[axis] == size[axis - 1] else resized(whole, size[axis - 1], axis)
    assert np.array_equal(isp(frame, size=size).reveal()[0].numpy(), whole)


@pytest.mark.parametrize(("width", "height"), [(40, 24), (24, 40), (30, 30)])
def test_centre_crop_is_resize_and_crop_of_the_short_side(width: int, height: int) -> None:
    head = header(Policy(width, height))
    frame = shuffled(head, random_dn(head.policy))
    recipe = IspSettings(size=(14, 14), fit="centre-crop", short_side=16)
    usual = v2.Compose([v2.Resize(16, antialias=True), v2.CenterCrop(14)])
    assert (isp(frame, settings=recipe).reveal() - usual(isp(frame).reveal())).abs().max() < 1e-6


def test_centre_crop_without_short_side_just_covers_the_size() -> None:
    head = header(Policy(40, 20))
    frame = shuffled(head, random_dn(head.policy))
    cropped = isp(frame, settings=IspSettings(size=(20, 20), fit="centre-crop")).reveal()
    assert torch.equal(cropped, isp(frame).reveal()[:, :, :, 10:30])


def test_every_sample_has_a_fresh_uniform_order_of_its_own() -> None:
    head = header(Policy(32, 24))
    frame = shuffled(head, random_dn(head.policy))
    with mock.patch.object(
        inference.imaging.develop, "uniform_table", wraps=inference.imaging.develop.uniform_table
    ) as drawn:
        first, second = (isp([frame, frame, frame], size=(16, 16)) for _ in range(2))
    keys = [call.args[0] for call in drawn.call_args_list]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 32 for key in keys)
    tables = torch.cat([first.layout.table, second.layout.table]).numpy()
    assert tables.dtype == np.int32
    assert tables.shape == (6, 256)
    for table in tables:
        Permutation(table, (16, 16)).check()
    assert len({table.tobytes() for table in tables}) == 6
    assert torch.equal(first.reveal(), second.reveal())


def test_no_stage_is_in_true_order() -> None:
    """Every buffer that a stage reads or writes differs from the plain ISP's in order only."""
    head = header(Policy(40, 32))
    dn = random_dn(head.policy)
    seen: list[list[np.ndarray]] = []
    original = inference.imaging.develop.resample

    def watched(source, target, step, first, last):
        original(source, target, step, first, last)
        seen.append([source.values.copy(), target.values.copy()])

    with mock.patch.object(inference.imaging.develop, "resample", watched):
        keyed = isp(shuffled(head, dn), size=(20, 24))
        with in_true_order():
            isp(shuffled(head, dn), size=(20, 24))
    assert len(seen) == 4
    for secret, plain in zip(seen[0] + seen[1], seen[2] + seen[3], strict=True):
        assert (secret != plain).any(1).mean() > 0.9
        assert np.array_equal(np.sort(secret, 0), np.sort(plain, 0))
    assert (keyed.values != keyed.reveal()).any(1).float().mean() > 0.9


def test_balanced_samples_are_not_in_true_order() -> None:
    head = header(Policy(40, 32))
    dn = random_dn(head.policy)
    seen = []
    original = inference.imaging.develop.demosaic.balance

    def watched(source, area, order, values):
        original(source, area, order, values)
        seen.append(values[:, 0].copy())

    with mock.patch.object(inference.imaging.develop.demosaic, "balance", watched):
        isp(shuffled(head, dn))
        with in_true_order():
            isp(shuffled(head, dn))
    secret, plain = seen
    assert (secret != plain).mean() > 0.9
    assert np.array_equal(np.sort(secret), np.sort(plain))


@pytest.mark.parametrize("method", METHODS)
def test_bands_of_rows_do_not_show(method: str) -> None:
    head = header(Policy(22, 40))
    dn = random_dn(head.policy)
    recipe = IspSettings(demosaic=method, size=(17, 13))
    whole = isp(shuffled(head, dn), settings=recipe).reveal()
    plans.plan_for.cache_clear()
    with mock.patch.multiple(plans, PATCH_PHOTOSITES=1, MIN_BAND_ROWS=3):
        assert len(plans.plan_for(head.policy, recipe).bands) >= 7
        banded = isp(shuffled(head, dn), settings=recipe).reveal()
    plans.plan_for.cache_clear()
    assert torch.equal(whole, banded)


def test_threads_do_not_show() -> None:
    head = header(Policy(640, 480))
    dn = random_dn(head.policy)
    recipe = IspSettings(demosaic="malvar", size=(200, 190))
    assert torch.equal(isp(shuffled(head, dn), settings=recipe).reveal(), plain_isp(head, dn, recipe))


def test_keep_order_leaves_samples_where_they_are_stored() -> None:
    policy = Policy(9, 6, Cfa.NONE, samples_per_photosite=3)
    head, dn = header(policy, black=0, white=4_095, gains=(1_024,) * 3), random_dn(policy)
    frame = shuffled(head, dn)
    keyed = isp(frame, settings=IspSettings(gamma="none", keep_order=True))
    assert np.array_equal(keyed.layout.table[0].numpy(), frame.permutation.table)
    stored = keyed.values[0].permute(1, 2, 0).numpy()
    assert np.array_equal(stored, frame.samples.astype(np.float32) / np.float32(4_095))


def test_frames_of_a_batch_keep_their_places() -> None:
    wide, tall = header(Policy(20, 12)), header(Policy(12, 20, Cfa.BGGR))
    frames = [shuffled(head, random_dn(head.policy, seed), seed) for seed, head in enumerate((wide, tall, wide))]
    batch = isp(frames, size=(8, 8)).reveal()
    for index, frame in enumerate(frames):
        assert torch.equal(batch[index], isp(frame, size=(8, 8)).reveal()[0])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"demosaic": "nearest"}, "quad, bilinear, malvar"),
        ({"gamma": 2.2}, "srgb, none"),
        ({"fit": "pad"}, "stretch, centre-crop"),
        ({"size": (0, 4)}, "outside 1"),
        ({"size": (4, 4, 3)}, "not \\(height, width\\)"),
        ({"short_side": 8}, "needs a centre crop"),
        ({"size": (9, 9), "fit": "centre-crop", "short_side": 8}, "needs a centre crop"),
        ({"size": (4, 4), "keep_order": True}, "cannot keep"),
        ({"mean": (0, 0, 0)}, "mean"),
        ({"mean": (0, 0, 0), "std": (1, 1, 0)}, "not above 0"),
        ({"mean": (0, float("nan"), 0), "std": (1, 1, 1)}, "not finite"),
        ({"mean": (0, 0), "std": (1, 1)}, "three values"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(arguments: dict, says: str) -> None:
    with pytest.raises(InputMismatchError, match=says):
        IspSettings(**arguments)


def test_frames_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    small, large = (shuffled(header(Policy(s, s)), random_dn(Policy(s, s))) for s in (4, 6))
    with pytest.raises(InputMismatchError, match="frame 1 becomes 6x6, those before it 4x4"):
        isp([small, large])
    with pytest.raises(InputMismatchError, match="no frame"):
        isp([])
    with pytest.raises(InputMismatchError, match="needs a session"):
        isp(tmp_path / "frame.dng")
    with pytest.raises(InputMismatchError, match="cannot keep its stored order"):
        isp(small, settings=IspSettings(keep_order=True))
    with pytest.raises(InputMismatchError, match="does not cover"):
        isp(small, settings=IspSettings(size=(4, 8), fit="centre-crop", short_side=4))


@pytest.mark.parametrize("method", METHODS)
def test_a_real_raw_photograph(privcam_data: Path, method: str) -> None:
    files = list((privcam_data / "raw").glob("*768x512*.raw"))
    if not files:
        pytest.skip("no 768x512 raw crop in PRIVCAM_DATA/raw")
    dn = np.fromfile(files[0], "<u2").reshape(512, 768)
    levels = (600, 15_520, (1_843, 1_024, 1_434))
    head = header(Policy(768, 512, bits=14), *levels[:2], gains=levels[2])
    frame = shuffled(head, dn)
    linear = isp(frame, settings=IspSettings(demosaic=method, gamma="none")).reveal()[0].permute(1, 2, 0).numpy()
    expected = demosaiced(dn, "RGGB", method, levels)
    assert np.array_equal(linear, expected.astype(np.float32) / np.float32(14_920))
    recipe = IspSettings(demosaic=method, size=(224, 224), fit="centre-crop", short_side=256)
    assert torch.equal(isp(frame, settings=recipe).reveal(), plain_isp(head, dn, recipe))
