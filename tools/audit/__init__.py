"""Attacks on private frames, and what they find."""
