"""The keeper of one process: starts it, keeps what it prints and how it ends, and ends all that it leaves.

It runs by itself, apart from lcompose, and must be there at once: so it imports little of Python (pathlib
or dataclasses take longer than all the rest), and nothing of lcompose.
"""

# Why a process was ended that neither ended by itself nor was asked to.
WAS_KILLED = "its supervisor was killed"
FAILED = "its supervisor failed"
FOLDER_GONE = "its folder was removed while it ran"
ENDED_BY = (WAS_KILLED, FAILED, FOLDER_GONE)
# How it is said that a process cannot be started, since an address is not free.
TAKEN = "another program has"
