"""Attacks on the peers of Table 2, one a file; each has a ``PEER_ATTACK``."""
