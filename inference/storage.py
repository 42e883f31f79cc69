"""Keyed networks in files: a manifest and weights, without any key or layout and without pickle.

A saved network is a folder:

- ``manifest.json``: format and version, SHA-256 digests, and the lowered graph with its plan: operators,
  layout groups, laws.
- ``tensors.safetensors``: weights (``network.*``) and tap maps over true positions (``plan.*``).

Digests find damage.  They are not signatures: whoever can write the folder can give the network other
weights, but reading a file never runs code that comes from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from inference.convert import available
from inference.edges import Group
from inference.errors import ModelError, SavedNetworkError
from inference.kernels import BACKENDS
from inference.module import KeyedModule, single
from inference.plan import Plan
from inference.saved_checks import check_parts, check_plan
from inference.saved_graph import constants, put_constant, read_graph, write_graph
from inference.saved_values import Reader, Writer
from keyvault.errors import OutputError
from keyvault.files import sync_folder, write_whole

FORMAT = "privcam keyed network"
VERSION = 2
MANIFEST, TENSORS = "manifest.json", "tensors.safetensors"
WEIGHT = "network."
AGAIN = "save the network again"
#: What reading raises for files that do not describe a network.
UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    SafetensorError,
    SyntaxError,
    TypeError,
    ValueError,
)
#: Parts of a plan that have a form of their own here.
_NAMED = ("backend", "tree")


def save(net: KeyedModule, folder: str | os.PathLike[str]) -> None:
    """Write a keyed network to a new folder, whole or not at all.

    Raises OutputError if ``folder`` exists or cannot be written, ModelError if ``net`` is no
    single keyed network, or holds or returns something that has no form in the files.
    """
    net, path = single(net), Path(folder)
    if path.exists():
        raise OutputError(f"{path} exists", hint="choose another name or remove it first")
    content, tensors = _describe(net)
    data = safetensors.torch.save(tensors)
    content["tensors"] = _digest(data)
    text = _canonical(content)
    manifest = {"format": FORMAT, "version": VERSION, "digest": _digest(text), "content": content}
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.part"
    try:
        temporary.mkdir()
        write_whole(temporary / TENSORS, data)
        write_whole(temporary / MANIFEST, _canonical(manifest))
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", hint="check the folder and free space") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load(folder: str | os.PathLike[str], *, device: str | torch.device | None = None) -> KeyedModule:
    """Read a keyed network; inner layouts are drawn anew at its first call.

    Args:
        folder: what :func:`save` wrote.
        device: where the network is to run; the CPU if None.

    Raises SavedNetworkError if files are missing, damaged, of another version or none of ours, or what
    they describe is no network, and DeviceUnavailableError.
    """
    place = torch.device("cpu") if device is None else available(device)
    path = Path(folder)
    content = _content(path)
    data = _read(path / TENSORS)
    if _digest(data) != content.get("tensors"):
        raise SavedNetworkError(f"{path / TENSORS} is not what was saved with its manifest", hint=AGAIN)
    try:
        net = _build(content, safetensors.torch.load(data))
    except UNREADABLE as error:
        raise SavedNetworkError(
            f"{path} cannot be read: {error}", hint=f"it was saved with torch {content.get('torch')}; {AGAIN}"
        ) from error
    return net.to(place)


def _describe(net: KeyedModule) -> tuple[dict[str, Any], dict[str, Tensor]]:
    writer, plan = Writer(), net.plan
    parts = {name: writer.encode(getattr(plan, name)) for name in plan.__slots__ if name not in _NAMED}
    found = constants(net.network)
    content = {
        "torch": torch.__version__,
        "dtype": writer.encode(net.dtype),
        "rekey_every": net.rekey_every,
        "backend": plan.backend.name,
        "results": _nesting(plan.tree),
        "plan": parts,
        "graph": write_graph(net.network.graph, writer),
        "constants": {path: {"kind": kind, **_form(value)} for path, (kind, value) in found.items()},
    }
    content["groups"] = [{"size": g.size, "name": g.name, "given": g.given} for g in writer.groups]
    weights = {WEIGHT + path: value.cpu().contiguous() for path, (_, value) in found.items()}
    return content, weights | writer.tensors


def _nesting(tree: pytree.TreeSpec) -> Any:
    """How results are nested, as their numbers in it.  Raises ModelError if they would not come back like that."""
    nested = pytree.tree_unflatten(list(range(tree.num_leaves)), tree)
    encoded = Writer().encode(nested)
    if pytree.tree_structure(Reader({}, []).decode(encoded)) != tree:
        raise ModelError(
            f"results in a {tree} cannot be saved", hint="return tensors in tuples, lists and dictionaries"
        )
    return encoded


def _form(value: Tensor) -> dict[str, Any]:
    return {"dtype": str(value.dtype), "shape": list(value.shape)}


def _content(folder: Path) -> dict[str, Any]:
    """The manifest's content, once format, version and digest are right."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(_read(path), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise SavedNetworkError(f"{path} is damaged: it is not JSON", hint=AGAIN) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise SavedNetworkError(f"{path} is no manifest of a keyed network", hint="check the path")
    version, content = manifest.get("version"), manifest.get("content")
    if type(version) is int and version != VERSION:
        hint = "use a newer privcam" if version > VERSION else AGAIN
        raise SavedNetworkError(f"{path} has version {version}, this program reads {VERSION}", hint=hint)
    if (
        type(version) is not int
        or not isinstance(content, dict)
        or _digest(_canonical(content)) != manifest.get("digest")
    ):
        raise SavedNetworkError(f"{path} is damaged: its digest differs", hint=AGAIN)
    return content


def _build(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> KeyedModule:
    groups = [_group(entry) for entry in content["groups"]]
    reader, backend = Reader(tensors, groups), BACKENDS[content["backend"]]()
    known = {path: _constant(path, entry, tensors) for path, entry in content["constants"].items()}
    graph = read_graph(content["graph"], reader, backend, known)
    root = nn.Module()
    for path, value in known.items():
        put_constant(root, path, content["constants"][path]["kind"], value)
    network = fx.GraphModule(root, graph)
    for path, value in known.items():  # GraphModule takes only what its nodes read
        put_constant(network, path, content["constants"][path]["kind"], value)
    parts = {name: reader.decode(part) for name, part in content["plan"].items()}
    tree = pytree.tree_structure(reader.decode(content["results"]))
    plan = Plan(backend=backend, tree=tree, **parts)
    check_plan(plan, graph, known)
    dtype, frames = reader.decode(content["dtype"]), content["rekey_every"]
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValueError(f"no network computes in {dtype}")
    if type(frames) is not int or frames < 1:
        raise ValueError(f"rekey_every is {frames!r}")
    return KeyedModule(network, plan, torch.empty(0, dtype=dtype), frames)


def _group(entry: Mapping[str, Any]) -> Group:
    check_parts(Group, entry)
    if entry["size"] < 1:
        raise ValueError(f"a group has {entry['size']} positions")
    return Group(entry["size"], entry["name"], given=entry["given"])


def _constant(path: str, entry: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensor:
    """A weight as it was saved; another one may have got into the files."""
    value = tensors[WEIGHT + path]
    if _form(value) != {"dtype": entry["dtype"], "shape": entry["shape"]}:
        raise ValueError(f"{path} is not what was saved: {_form(value)}")
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SavedNetworkError(f"cannot read {path}: {error.strerror}", hint="check the path; " + AGAIN) from error


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
