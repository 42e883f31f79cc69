"""Object detection on shuffled frames: the networks run keyed, the key holder gets what the plain detector gives."""
