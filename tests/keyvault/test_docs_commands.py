"""The guide names commands and options that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from keyvault.cli import keyvault

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = "\n".join((DOCS / name).read_text() for name in ("key_management.md", "host_keys.md"))
CODE = re.compile(r"`([^`\n]+)`|^ *(keyvault [^\n#]*)", re.MULTILINE)


def commands() -> list[str]:
    """What the guide shows of the program: whole command lines, and commands with options."""
    names = keyvault.list_commands(click.Context(keyvault))
    found = {(inline or line).strip() for inline, line in CODE.findall(GUIDE)}
    return sorted(text for text in found if text.split()[0] == "keyvault" or text.split()[0] in names)


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that some words name, and the words after its name."""
    command: click.Command = keyvault
    if words[:1] == ["--home"]:
        words = words[2:]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, words[0]
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("text", commands())
def test_every_command_in_the_guide_has_its_options(text: str) -> None:
    words = shlex.split(text.replace("*", "").replace(",", " ").partition(">")[0])
    command, rest = resolve(words[1:] if words[0] == "keyvault" else words)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        assert not word.startswith("-") or word in known, f"{text}: {command.name} has no {word}"


def test_the_guide_shows_every_command() -> None:
    shown = {text.split()[1 if text.startswith("keyvault ") else 0] for text in commands()}
    assert set(keyvault.list_commands(click.Context(keyvault))) <= shown
