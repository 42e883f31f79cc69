"""What a private video stream costs: the section ``video`` of tools/benchmark.py."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from torchvision import models

from adc_firmware import Exposure, PrivateFrame
from bench_keys import chip, open_grant
from inference import IspSettings, KeyedTensor, Session, isp, secure, stream
from inference.imaging import Demosaic, Fit
from keyvault.policy import Cfa, Policy
from measure import Comparison, compare
from sensor_sim import CameraSettings, PixelModel, Shot, draw_chart
from sensor_sim.pixel import ExposedArray

FRAMES = 30
SETTINGS = IspSettings(size=(224, 224), demosaic=Demosaic.QUAD, fit=Fit.CENTRE_CROP, short_side=256)


def private_frames(width: int, height: int, count: int) -> tuple[list[PrivateFrame], Session]:
    """Frames of a Bayer sensor, each under its own key, and a session that opens them."""
    opened = open_grant(Policy(width, height, Cfa.RGGB))
    camera = chip(opened)
    source = ExposedArray(
        draw_chart(width, height), opened.grant.policy, CameraSettings(noise=False), PixelModel(), Shot(0, 0)
    )
    exposure = Exposure(10_000, 1_000, (1_024, 1_024, 1_024), 0)
    frames = [camera.read_out(source, exposure) for _ in range(count)]
    return frames, Session({opened.grant.key_id: opened}, {}, None, lambda: int(time.time()))


def private_frame(width: int, height: int) -> tuple[PrivateFrame, Session]:
    """One of them."""
    (frame,), session = private_frames(width, height, 1)
    return frame, session


def run(rounds: int) -> Iterator[Comparison]:
    """Every comparison of this section."""
    yield classified_stream(max(3, rounds // 3))


def classified_stream(rounds: int) -> Comparison:
    """Frames in memory: key and mask, ISP and ResNet-18; and what the network alone takes on frames that are ready."""
    network = models.resnet18().eval()
    keyed = secure(network, torch.zeros(1, 3, 224, 224))
    frames, session = private_frames(1280, 720, FRAMES)
    ready = [isp(frame, session, SETTINGS) for frame in frames]

    def classify(inputs: Iterator[KeyedTensor]) -> None:
        for x in inputs:
            keyed(x)

    things = {
        "network alone": lambda: classify(iter(ready)),
        "one frame after the other": lambda: classify(isp(frame, session, SETTINGS) for frame in frames),
        "the next frame ahead": lambda: classify(stream(frames, session, SETTINGS)),
    }
    title = f"private video, 1280x720, ResNet-18 at 224x224, {FRAMES} frames"
    return compare(title, things, rounds=rounds, frames=FRAMES)
