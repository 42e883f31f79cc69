"""Keyed networks as ONNX files whose layout tables are inputs."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import torch

from inference.errors import ModelError
from inference.exporting import PortableNetwork, export_portable, portable
from inference.layout import KeyedTensor
from inference.module import KeyedModule
from keyvault.files import check_outputs, write_whole

OPSET = 18
LARGEST = 2**31 - 1  # bytes of a protobuf message


def export_onnx(net: KeyedModule, path: str | os.PathLike[str], example: KeyedTensor) -> PortableNetwork:
    """Write a keyed network as one ONNX file of standard operators, for any batch size if it takes any.

    The file has weights, no layout and no key.  Its inputs are those of ``feed(x).inputs`` of what is
    returned, its outputs are read by ``feed(x).results``::

        twin = inference.export_onnx(net, "net.onnx", x)
        feed = twin.feed(x)
        outputs = session.run(None, {name: value.numpy() for name, value in feed.inputs.items()})
        result = feed.results([torch.from_numpy(output) for output in outputs])

    Raises InputMismatchError if ``example`` does not fit, ModelError if the network cannot be
    exported or ``onnx`` and ``onnxscript`` are not installed, OutputError if ``path`` cannot be written.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ModelError(f"{' and '.join(missing)} missing for ONNX", hint='pip install "privcam[onnx]"')
    check_outputs([Path(path)], [])
    network = portable(net)
    program = export_portable(network, example)
    outputs = [f"result{index}" for index in range(len(net.plan.results))]
    try:
        written = torch.onnx.export(
            program,
            dynamo=True,
            input_names=list(network.input_names),
            output_names=outputs,
            opset_version=OPSET,
            verbose=False,
        )
    except Exception as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ModelError(f"no ONNX for the network: {first_line}", hint="run it with inference alone") from error
    if written is None:
        raise TypeError("torch.onnx returned no program")
    message = written.model_proto
    if message.ByteSize() > LARGEST:
        raise ModelError("the network is larger than 2 GiB, too large for one ONNX file", hint="use inference.save")
    write_whole(Path(path), message.SerializeToString())
    return network
