"""lcompose: one Lightspeed configuration in, a running, ready, observable stack out."""

__version__ = "0.1.0"
