"""The command ``keyed-infer``: networks on private frames, for an authorised host."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from keyvault import passphrase, places
from keyvault.cli_options import Size, existing_passphrase, file_option
from keyvault.console import Group
from keyvault.errors import OutputError
from keyvault.files import PRIVATE_FILE, write_whole

if TYPE_CHECKING:
    from torch import Tensor, nn

    from inference.models import Preset
    from inference.session import Session

_Function = TypeVar("_Function", bound=Callable[..., Any])
