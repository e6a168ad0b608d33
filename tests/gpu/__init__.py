"""Tests for a machine that has a GPU: ``make test-gpu``."""
