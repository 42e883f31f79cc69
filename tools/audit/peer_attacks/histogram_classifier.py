"""What class a peer's picture is of, told from its values alone, by ridge regression on what the key leaves of them.

After Chapelle, Haffner and Vapnik, IEEE Transactions on Neural Networks 10(5), 1999: class from a colour histogram.
The regression is that of ``audit.ridge``.  It learns from known scenes under keys of the attacker's own.
"""

from __future__ import annotations

import numpy as np

from audit.attacks import histogram_classifier
from audit.finding import Finding, Scale
from audit.intervals import commonest_share, share_interval
from audit.peer_evidence import Images, Labels, PeerAttack, PeerEvidence, Protected
from audit.peer_features import OF_VALUES, Floats
from audit.peer_learning import estimated, known_scenes
from audit.ridge import nearness
from keyvault.errors import InputError

PICTURES = 1000
_ABOVE_CHANCE = 0.1  # of what lies between chance and 1


def describe(images: Images) -> Floats:
    """Everything of a picture that no order of its samples changes: (n, f)."""
    return np.concatenate([feature(images) for feature in OF_VALUES.values()], axis=1)


def classes(protected: Protected) -> Labels:
    """The likeliest class of each picture; InputError without classes."""
    if protected.labels.min() < 0:
        raise InputError("pictures without classes cannot be scored", hint="give scenes with classes, such as CIFAR-10")
    scenes = known_scenes(protected, protected.known_labels >= 0)
    labels = protected.known_labels[scenes]
    names = np.unique(labels)
    targets = (labels[:, None] == names).astype(np.float64)
    score = estimated(protected, scenes, describe, targets, nearness)
    return np.asarray(names[score.argmax(axis=1)], np.int64)


def run(evidence: PeerEvidence, generator: np.random.Generator) -> Finding:  # noqa: ARG001  # draws nothing
    """Train on the known scenes that have a class, and classify pictures; chance is the commonest class."""
    material, control = (one.first(PICTURES).each_alone() for one in (evidence.material, evidence.control))
    hits = int((classes(material) == material.labels).sum())
    of_control = int((classes(control) == control.labels).sum())
    chance = commonest_share(material.labels)
    scale = Scale("share of pictures classified rightly", chance, chance + _ABOVE_CHANCE * (1 - chance))
    interval = share_interval(hits, len(material))
    return Finding.judged(
        scale,
        interval,
        attack=PEER_ATTACK.name,
        stand=PEER_ATTACK.stand,
        policy=evidence.name,
        score=hits / len(material),
        control_broke=share_interval(of_control, len(control)).low > scale.level,
        frames=len(material),
        smallest_breaking=1,
        note=(
            f"A ridge on statistics of the values of {len(known_scenes(material))} other scenes; it sees one picture "
            "at a time, each under a key of its own, and nothing of where its samples are. The control gave "
            f"{of_control / len(control):.0%}."
        ),
    )


PEER_ATTACK = PeerAttack(histogram_classifier.NAME, histogram_classifier.ATTACK.title, 100, run)
