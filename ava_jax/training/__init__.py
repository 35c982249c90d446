"""The parts of the training loop in `ava_jax.train`."""
