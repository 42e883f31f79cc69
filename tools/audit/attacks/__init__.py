"""One attack a file: pure functions first, then ``audit``, which runs it on material and judges it."""
