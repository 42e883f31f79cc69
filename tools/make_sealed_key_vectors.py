"""Write the test vectors of docs/spec/sealed_key.md to tests/vectors/sealed_key/.

Secrets of 32 bytes are hashes of their names, so derivation.json and device.json are the same at
every run.  The hosts' RSA keys are kept where they exist.  Sealed keys are random in part; a run
replaces all of them together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from keyvault.derivation import FrameId, commitment, derive_epoch_key, derive_frame_secrets
from keyvault.hosts import public_pem
from keyvault.policy import Cfa, FrameKeys, Policy, Protection, Unit
from sealed_key_bench import EPOCH, FOLDER, NOW, SENSOR, Bench, secret
from sealed_key_refusals import damaged, dishonest, foreign

POLICIES = {
    "default": Policy(1920, 1080),
    "shuffle": Policy(64, 48, cfa=Cfa.NONE, bits=16, scope="row", protection=Protection.SHUFFLE),
    "quads in bands": Policy(640, 480, cfa=Cfa.GBRG, bits=10, unit=Unit.QUAD, scope="band:16"),
    "stacked": Policy(33, 17, cfa=Cfa.NONE, samples_per_photosite=3, bits=8),
    "fixed": Policy(64, 48, protection=Protection.SHUFFLE, frame_keys=FrameKeys.FIXED),
}


def derivations() -> dict[str, Any]:
    """Epoch keys and frame keys with their inputs."""
    root = secret("root")
    epochs = [(SENSOR, 1), (SENSOR, EPOCH), ("A", 2**32 - 1)]
    frames = []
    for policy in POLICIES.values():
        for session, counter in ((bytes(16), 0), (secret("session")[:16], 2**48 - 1)):
            epoch_key = derive_epoch_key(root, SENSOR, EPOCH)
            keys = derive_frame_secrets(epoch_key, SENSOR, policy, FrameId(session, counter))
            frames.append(
                {
                    "epoch_key": epoch_key.hex(),
                    "sensor": SENSOR,
                    "policy": policy.to_json(),
                    "policy_digest": policy.digest().hex(),
                    "session": session.hex(),
                    "counter": counter,
                    "permutation_key": keys.permutation_key.hex(),
                    "mask_key": keys.mask_key.hex() if keys.mask_key else None,
                }
            )
    return {"root": root.hex(), "epochs": [_epoch(root, *entry) for entry in epochs], "frames": frames}


def _epoch(root: bytes, sensor: str, epoch: int) -> dict[str, Any]:
    key = derive_epoch_key(root, sensor, epoch)
    committed = commitment(key).hex()
    return {"sensor": sensor, "epoch": epoch, "epoch_key": key.hex(), "commitment": committed, "key_id": committed[:16]}


def write_json(path: Path, value: Any) -> None:
    """Indented JSON with a line end."""
    path.write_text(json.dumps(value, indent=2) + "\n")


def main() -> None:
    """Write every vector."""
    (FOLDER / "refused").mkdir(parents=True, exist_ok=True)
    bench = Bench.build()
    good = bench.seal()
    write_json(FOLDER / "derivation.json", derivations())
    (FOLDER / "issuer.pub").write_bytes(public_pem(bench.issuer.public_key()))
    (FOLDER / "device.json").write_bytes(bench.device.to_bytes())
    (FOLDER / "sealed.bin").write_bytes(good)
    expected = {"epoch_key": bench.epoch_key.hex(), "now": NOW, "grant": bench.grant.to_json()}
    write_json(FOLDER / "sealed.json", expected)
    for old in (FOLDER / "refused").glob("*.json"):
        old.unlink()
    for refusal in (*damaged(bench, good), *foreign(good), *dishonest(bench)):
        write_json(FOLDER / "refused" / f"{refusal.name}.json", refusal.to_json())


if __name__ == "__main__":
    main()
