"""Metrics of action detection. NumPy alone: no files, no JAX, no TensorFlow."""
