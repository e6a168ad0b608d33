"""Measurements of what people wait for, as ratios of commands that run in turn on this machine."""
