"""What the camera side costs: the section ``camera`` of tools/benchmark.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
from numpy.typing import NDArray

from adc_firmware import Exposure, MaskGenerator
from adc_firmware.readout import Addresses, read_rows
from bench_keys import KEY, chip, open_grant
from keyvault.expansion import expand, uniform_table
from keyvault.policy import Cfa, Policy, Unit
from measure import Comparison, compare
from sensor_sim import CameraSettings, DnScene, PixelModel, SensorProfile, Shot, draw_chart, load_profile
from sensor_sim.pixel import DnArray, ExposedArray

WIDTH, HEIGHT = 4000, 3000


def run(rounds: int) -> Iterator[Comparison]:
    """Every comparison of this section."""
    yield key_expansion(rounds)
    yield key_expansion_by_policy(rounds)
    yield key_expansion_of_small_frames(rounds)
    yield readout(rounds)
    yield expansion_and_readout(rounds)
    yield capture(rounds, noise=False)
    yield capture(rounds, noise=True)
    yield sustained(rounds)


def key_expansion(rounds: int) -> Comparison:
    """A frame's permutation, 12 megapixels: NumPy's from its own generator, and ours from a key."""
    policy = Policy(WIDTH, HEIGHT)
    generator = np.random.default_rng(0)
    identity = np.arange(policy.photosites, dtype=np.int32)
    things = {
        "numpy Generator.permutation(n), int64": lambda: generator.permutation(policy.photosites),
        "numpy Generator.permutation, int32 array": lambda: generator.permutation(identity),
        "expand, 1 thread": lambda: expand(KEY, policy, threads=1),
        "expand, all processors": lambda: expand(KEY, policy),
    }
    return compare("key expansion, 4000x3000", things, rounds=rounds, pixels=policy.photosites)


def key_expansion_by_policy(rounds: int) -> Comparison:
    """The same under other scopes and units."""
    policies = {
        "frame": Policy(WIDTH, HEIGHT),
        "frame of quads": Policy(WIDTH, HEIGHT, unit=Unit.QUAD),
        "bands of 100 rows": Policy(WIDTH, HEIGHT, scope="band:100"),
        "bands of 16 rows": Policy(WIDTH, HEIGHT, scope="band:16"),
        "rows": Policy(WIDTH, HEIGHT, scope="row"),
    }
    things = {name: lambda policy=policy: expand(KEY, policy) for name, policy in policies.items()}
    return compare("key expansion by policy, 4000x3000", things, rounds=rounds, pixels=WIDTH * HEIGHT)


def key_expansion_of_small_frames(rounds: int) -> Comparison:
    """What replayed data sets and inner layouts ask for, again and again."""
    generator = np.random.default_rng(0)
    policy = Policy(64, 64)
    things = {
        "numpy Generator.permutation(4096)": lambda: generator.permutation(4096),
        "expand, 64x64": lambda: expand(KEY, policy),
        "uniform_table, 1024": lambda: uniform_table(KEY, 1024),
        "uniform_table, 64": lambda: uniform_table(KEY, 64),
    }
    return compare("key expansion of small frames", things, rounds=max(rounds, 201))


def _digitised(policy: Policy) -> tuple[NDArray[np.uint16], DnArray]:
    """Random DN, as an array and as a source that the chip reads."""
    dn = np.random.default_rng(0).integers(0, 2**policy.bits, (policy.height, policy.width), np.uint16)
    return dn, DnArray(DnScene(dn, 0, 2**policy.bits - 1))


def readout(rounds: int) -> Comparison:
    """DN in, shuffled and masked DN out, the table given."""
    policy = Policy(WIDTH, HEIGHT)
    dn, source = _digitised(policy)
    converter = PixelModel().converter(policy.bits)
    permutation = expand(KEY, policy)
    flat, index = dn.reshape(-1), permutation.table.astype(np.int64)
    out = np.empty_like(flat)

    def numpy_scatter() -> None:
        out[index] = flat

    things = {
        "numpy out[perm] = x, shuffle only": numpy_scatter,
        "readout, shuffle": lambda: read_rows(
            source, converter, policy, Addresses(permutation, MaskGenerator(None, policy))
        ),
        "readout, shuffle and mask": lambda: read_rows(
            source, converter, policy, Addresses(permutation, MaskGenerator(KEY, policy))
        ),
    }
    return compare("readout, 4000x3000, 12 bit", things, rounds=rounds, pixels=policy.photosites)


def expansion_and_readout(rounds: int) -> Comparison:
    """From a frame key and DN to shuffled and masked DN."""
    policy = Policy(WIDTH, HEIGHT)
    dn, source = _digitised(policy)
    converter = PixelModel().converter(policy.bits)
    flat, generator = dn.reshape(-1), np.random.default_rng(0)

    def numpy_both() -> NDArray[np.uint16]:
        out = np.empty_like(flat)
        out[generator.permutation(flat.size)] = flat
        return out

    things = {
        "numpy permutation and out[perm] = x, shuffle only": numpy_both,
        "expand and readout, shuffle and mask": lambda: read_rows(
            source, converter, policy, Addresses(expand(KEY, policy), MaskGenerator(KEY, policy))
        ),
    }
    return compare("expansion and readout, 4000x3000, 12 bit", things, rounds=rounds, pixels=policy.photosites)


def capture(rounds: int, *, noise: bool) -> Comparison:
    """Light to a frame in memory: plain DN, and a signed private frame with a fresh key."""
    policy, pixel = Policy(WIDTH, HEIGHT, Cfa.RGGB), PixelModel()
    source = ExposedArray(draw_chart(WIDTH, HEIGHT), policy, CameraSettings(noise=noise), pixel, Shot(0, 0))
    converter, secure = pixel.converter(policy.bits), chip(open_grant(policy))
    exposure = Exposure(10_000, 1_000, (1_024, 1_024, 1_024), 0)
    things = {
        "plain: pixels and conversion": lambda: converter.convert(source.rows(0, HEIGHT)),
        "private: the same, keys, shuffle, mask, signature": lambda: secure.read_out(source, exposure),
    }
    title = f"capture, 4000x3000, 12 bit, noise {'on' if noise else 'off'}"
    return compare(title, things, rounds=rounds, pixels=policy.photosites)


def sustained(rounds: int) -> Comparison:
    """1920x1080 from light to a signed private frame, one after the other, a fresh key for each."""
    policy = Policy(1920, 1080, Cfa.RGGB)
    scene, exposure, opened = (
        draw_chart(1920, 1080),
        Exposure(10_000, 1_000, (1_024, 1_024, 1_024), 0),
        open_grant(policy),
    )

    def frame_of(profile: SensorProfile, *, noise: bool) -> Callable[[], object]:
        settings, numbers = CameraSettings(noise=noise), count()
        adc = chip(opened, profile.converter(policy, 0))

        def frame() -> object:
            source = ExposedArray(scene, policy, settings, profile.pixel, Shot(0, next(numbers), 1))
            return adc.read_out(source, exposure)

        return frame

    ideal, industrial = load_profile("ideal"), load_profile("industrial-global")
    things = {
        "ideal, noise off": frame_of(ideal, noise=False),
        "ideal, noise on": frame_of(ideal, noise=True),
        "industrial-global, noise, patterns, converters": frame_of(industrial, noise=True),
    }
    return compare(
        "sustained, 1920x1080, 12 bit, fresh keys", things, rounds=rounds, pixels=policy.photosites, frames=1
    )
