"""Spatio-temporal action detection on AVA in JAX."""

__version__ = "0.1.0"
