"""`python -m ava_jax` is the command `ava-jax`."""

from ava_jax import commands

if __name__ == "__main__":
    commands.run()
