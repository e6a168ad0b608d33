"""The keeper of one process: starts it, keeps what it prints and how it ends, and ends all that it leaves.

It runs by itself, apart from lcompose, and must be there at once: so it imports little of Python (pathlib
or dataclasses take longer than all the rest), and nothing of lcompose.
"""
