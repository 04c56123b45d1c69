"""Walks of keys and bytes over tables: keys made, and the store checked against the log."""
