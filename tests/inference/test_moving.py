"""A keyed network whose weights change, or that is moved to another device, after it was used."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from keyed_helpers import Apply, random_tensor, randomise, shuffle
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from inference.convert import secure
from inference.module import KeyedModule

X = random_tensor(2, 4, 6, 5)


class Net(nn.Module):
    """Weights of all three kinds: a convolution's, one in the order of a key, one that is read as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, padding=1)
        self.flat = nn.Linear(8 * 30, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.flat(self.conv(x).relu().flatten(1)))


def new_tensors(to: nn.Module, new: nn.Module) -> None:
    for name, value in new.named_parameters():
        to.get_parameter(name).data = value.detach().clone()


def new_values(to: nn.Module, new: nn.Module) -> None:
    for name, value in new.named_parameters():
        to.get_parameter(name).detach().copy_(value.detach())


@pytest.mark.parametrize(
    "change",
    [
        new_values,
        new_tensors,
        lambda to, new: to.load_state_dict(new.state_dict()),
        lambda to, new: to.load_state_dict({k: v.clone() for k, v in new.state_dict().items()}, assign=True),
    ],
    ids=["copied", "replaced", "loaded", "assigned"],
)
def test_weights_that_change_are_used(change: Callable[[nn.Module, nn.Module], None]) -> None:
    first, *others = (randomise(Net().double(), seed=seed) for seed in range(4))
    network = secure(first, X)
    torch.testing.assert_close(network(shuffle(X)), first(X), rtol=1e-10, atol=1e-10)
    for other in others:
        change(network.network, other)
        torch.testing.assert_close(network(shuffle(X)), other(X), rtol=1e-10, atol=1e-10)


def test_weights_are_arranged_once_while_they_stay() -> None:
    network = secure(randomise(Net().double()), X)
    network(shuffle(X))
    before = network.arranged()
    network(shuffle(X))
    assert network.arranged() is before


def test_weights_made_without_version_counters_can_be_used() -> None:
    with torch.inference_mode():
        network = secure(randomise(Net().double()), X)
        expected = network(shuffle(X))
    torch.testing.assert_close(network(shuffle(X)), expected)


def test_one_lock_for_life() -> None:
    network = secure(randomise(Net().double()), X)
    lock = network._lock
    network.float()
    network.load_state_dict(network.state_dict())
    assert network._lock is lock
    with lock:
        mover = threading.Thread(target=network.double)
        mover.start()
        mover.join(0.2)
        assert mover.is_alive()  # it waits for the call that holds the lock
    mover.join()


def makes_tensors(x: Tensor) -> Tensor:
    zeros = torch.zeros(x.shape[0], 4, dtype=x.dtype, device=x.device)
    return x.mean((2, 3)) + zeros + torch.ones(x.shape[0], 1, device=x.device).to(x.device, x.dtype)


def devices(module: fx.GraphModule) -> set[torch.device]:
    found = [leaf for node in module.graph.nodes for leaf in pytree.tree_leaves((node.args, node.kwargs))]
    return {leaf for leaf in found if isinstance(leaf, torch.device)}


def test_tensors_are_made_where_the_network_is() -> None:
    network: KeyedModule = secure(Apply(makes_tensors).eval(), X)
    assert devices(network.network) == {torch.device("cpu")}
    nn.Sequential(network).to("meta")
    assert devices(network.network) == {torch.device("meta")}
    assert "meta" in network.network.code
    torch.testing.assert_close(network.to_empty(device="cpu")(shuffle(X)), makes_tensors(X))
