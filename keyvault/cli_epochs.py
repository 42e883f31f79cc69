"""The commands that take epochs back: retire, disable, restore and destroy."""

from __future__ import annotations

from pathlib import Path

import click

from keyvault import withdrawal
from keyvault.cli_options import duration, existing_secret, one_epoch, one_sensor, open_vault, say
from keyvault.epochs import Epoch
from keyvault.grant import utc
from keyvault.unlocking import Unlock


@click.command()
@one_sensor
@click.option("--min-epoch", type=click.IntRange(min=1), required=True, help="First epoch that stays in use.")
@existing_secret
@click.pass_obj
def retire(base: Path, sensor: str, min_epoch: int, unlock: Unlock) -> None:
    """Retire the epochs of a sensor below --min-epoch for good.

    They become disabled, and what is sealed from now on tells sensors and hosts so.
    """
    with open_vault(base, unlock) as vault, vault.change() as change:
        disabled = withdrawal.retire(change, sensor, min_epoch)
    say("retired", f"epochs of sensor {sensor} below {min_epoch}")
    say("disabled", ", ".join(map(str, disabled)) or "none")
    say("next", f"tell them: keyvault rewrap --sensor {sensor}, and keyvault status publish")


@click.command()
@one_sensor
@one_epoch
@existing_secret
@click.pass_obj
def disable(base: Path, sensor: str, epoch: int, unlock: Unlock) -> None:
    """Disable an epoch: nothing of it is sealed or handed out until it is restored."""
    with open_vault(base, unlock) as vault, vault.change() as change:
        changed = withdrawal.disable(change, sensor, epoch)
    _say_state(changed)
    say("next", "keyvault status publish")


@click.command()
@one_sensor
@one_epoch
@existing_secret
@click.pass_obj
def restore(base: Path, sensor: str, epoch: int, unlock: Unlock) -> None:
    """Take back that an epoch was disabled or is to be destroyed: it becomes decrypt-only."""
    with open_vault(base, unlock) as vault, vault.change() as change:
        changed = withdrawal.restore(change, sensor, epoch)
    _say_state(changed)
    say("next", "keyvault status publish")


@click.command()
@click.option("--sensor", help="Enrolled sensor.")
@click.option("--epoch", type=click.IntRange(min=1), help="Number of the epoch.")
@click.option("--after", default="7d", show_default=True, help="How long it can still be restored.", **duration)
@click.option("--due", is_flag=True, help="Destroy now what is due, and mark nothing else.")
@existing_secret
@click.pass_obj
def destroy(base: Path, sensor: str | None, epoch: int | None, after: int, due: bool, unlock: Unlock) -> None:
    """Have the key of an epoch destroyed: its salt and every sealed key that holds it are erased from the vault.

    Until the date it can be restored.  After it, the first command that changes the vault destroys the key,
    and --due does nothing else.  Frames under it can then be opened only by hosts that have it already; a
    backup that was made before still has it.
    """
    if due == (sensor is not None or epoch is not None) or (sensor is None) != (epoch is None):
        raise click.UsageError("give --sensor and --epoch, or --due")
    with open_vault(base, unlock) as vault:
        if sensor is not None and epoch is not None:
            with vault.change() as change:
                changed = withdrawal.destroy(change, sensor, epoch, after)
            _say_state(changed)
            say("next", "keyvault status publish")
            say("until then", f"keyvault restore --sensor {changed.sensor} --epoch {epoch} takes it back")
            return
        done = vault.destroy_due()
    for one in done:
        say("destroyed", one.words)
    if not done:
        say("destroyed", "none is due")


def _say_state(epoch: Epoch) -> None:
    at = f" at {utc(epoch.destroy_at)}" if epoch.destroy_at is not None else ""
    say("epoch", f"{epoch.number} of sensor {epoch.sensor} (key id {epoch.key_id})")
    say("state", f"{epoch.state}{at}")
