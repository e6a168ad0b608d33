"""The workflow of GitHub Actions that ``lcompose ci init`` writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from lcompose.errors import UsageError
from lcompose.templates import fill

# A folder stands in a file that GitHub fills in by rules of its own: nothing that means anything there.
FOLDER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./ -]{0,199}")
# What pip takes, and a shell does not read otherwise within quotes.
PACKAGE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.,=<>~!+@:/\[\] -]*")
# GitHub takes no others as names of secrets.
SECRET = re.compile(r"(?!GITHUB_)[A-Za-z_][A-Za-z0-9_]*", re.IGNORECASE)
# Minutes for installing, and for each leg: pulling images is most of it.
INSTALL, EACH_LEG = 10, 20


@dataclass(frozen=True, slots=True)
class Check:
    """What is checked: legs by their names, the folder of the configuration in the repository, its variables.

    ``package`` is what pip installs.
    """

    name: str
    legs: Sequence[str]
    package: str
    directory: str = "."
    variables: Sequence[str] = ()


def workflow(check: Check) -> str:
    """The workflow's text.

    Raises: UsageError for what may not stand in one.
    """
    if not FOLDER.fullmatch(check.directory):
        fix = "Use a folder whose name is of letters, digits, spaces, '.', '_' and '-'."
        raise UsageError("this folder cannot be named in a workflow", check.directory[:200], fix)
    if not PACKAGE.fullmatch(check.package):
        what = f"{check.package[:40]!r} is nothing that pip installs"
        raise UsageError(what, "--package", "Write such as lcompose==1.2.3.")
    for one in check.variables:
        if not SECRET.fullmatch(one):
            raise UsageError(
                f"GitHub keeps no secret called {one[:40]!r}", "ci init", "Give the variable another name."
            )
    return fill(
        "ci-github.yaml.j2",
        name=check.name,
        legs=list(check.legs),
        package=quote(check.package),
        directory=check.directory,
        variables=list(check.variables),
        minutes=INSTALL + EACH_LEG * len(check.legs),
    )
