"""Frozen types that the layers hand to each other; they hold values and decide nothing."""
