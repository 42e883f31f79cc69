"""One picture's own blocks: under one key that all of them share, they tell how bright each other is.

Whatever moves or is made negative inside a block, if it is the same in all blocks, what varies most between the blocks
of a single picture (its first principal component; Pearson, Phil. Mag. 2(11), 1901) is their brightness, up to one
sign.  Where blocks stay in place too, that is a thumbnail or its negative: no scene, no key and no second picture
are needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audit.attacks.single_frame import BROKEN, correlations
from audit.finding import Finding, Scale
from audit.intervals import mean_interval
from audit.peer_attacks.correlation import STAY, UNITS, block_entries, first_component
from audit.peer_evidence import Images, PeerAttack, PeerEvidence, Protected
from audit.peer_pictures import grey, side_by_side
from keyvault.errors import InputError

Floats = NDArray[np.float64]
PICTURES = 150
_UNRELATED = 5  # scenes of others with which each thumbnail is compared, for chance


def thumbnails(images: Images, block: int) -> Floats:
    """Each picture as its own blocks tell it, up to its sign: (n, h, w, 3) to (n, h, w), flat inside a block."""
    count, height, width, _ = images.shape
    found = np.stack([first_component(entries) for entries in block_entries(images, block)])
    return found.reshape(count, height // block, width // block).repeat(block, axis=1).repeat(block, axis=2)


def size_of(protected: Protected) -> int:
    """Side of the blocks, which is public; InputError where there are none, or none of this form."""
    if not protected.keyed:
        raise InputError("there is no key, and nothing moves inside blocks")
    if protected.key not in UNITS:
        raise InputError("its blocks are of one colour each and also move between colours")
    if UNITS[protected.key] == 1:
        raise InputError("pixels move over the whole picture, which has no blocks")
    return UNITS[protected.key]


def alike(guesses: Floats, truths: Floats) -> Floats:
    """Correlations of guesses and truths, (n, h, w) both, of which the sign is not known: (n,), 0 to 1."""
    return np.abs(correlations(guesses, truths))


def luck(guesses: Floats, truths: Floats) -> float:
    """The same for thumbnails and scenes of other pictures, in the mean."""
    others = (np.roll(truths, shift, axis=0) for shift in range(1, _UNRELATED + 1))
    return float(np.mean([alike(guesses, other).mean() for other in others]))


def run(evidence: PeerEvidence, generator: np.random.Generator) -> Finding:
    """Attack up to 150 pictures one at a time; the control is one key, halves and negatives, for all 4 x 4 blocks."""
    material, control = (one.first(PICTURES).each_alone() for one in (evidence.material, evidence.alike))
    block, truth = size_of(material), grey(material.plain)
    guess = thumbnails(material.private, block)
    values = alike(guess, truth)
    of_control = alike(thumbnails(control.private, size_of(control)), grey(control.plain))
    scale = Scale("correlation of thumbnail and scene, without its sign", luck(guess, truth), BROKEN)
    side = truth.shape[1] // block
    return Finding.judged(
        scale,
        mean_interval(values, generator),
        attack=PEER_ATTACK.name,
        stand=PEER_ATTACK.stand,
        policy=evidence.name,
        score=float(values.mean()),
        control_broke=mean_interval(of_control, generator).low > scale.level,
        frames=len(material),
        smallest_breaking=1,
        note=(
            f"What varies most between the {side} x {side} blocks of one picture, each under a key of its own; nothing "
            f"is learned. A thumbnail and its negative count alike, for chance too: thumbnails with the scenes of "
            f"other pictures.{'' if material.key in STAY else ' The blocks also move, which this does not undo.'}"
        ),
        pictures={
            "scenes": side_by_side(truth),
            "protected": side_by_side(material.private),
            "what one picture gives": side_by_side(_shown(guess, truth)),
        },
    )


def _shown(guess: Floats, truth: Floats) -> Floats:
    """Thumbnails as grey, with the sign that a person would choose."""
    signs = np.where(correlations(guess, truth) < 0, -1.0, 1.0)
    return 127.5 + 64 * guess * signs[:, None, None]


PEER_ATTACK = PeerAttack("own_blocks", "One picture's own blocks", 50, run)
