"""Pickles of other people, read without executing them."""
