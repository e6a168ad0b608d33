"""Where a keeper begins; started by path, so that Python looks for nothing else."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from lcompose.keeper.guard import main

    main()
