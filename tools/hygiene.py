"""Licences and leaks: what ``make check`` looks for beyond style and types.

* Every distribution installed here says a licence under which a self-hosted user may run and pass on the whole.
* No tracked file names a package index, a path of somebody's machine, or anything shaped like a secret.

Prints one line per finding and exits with 1 when there is any.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Words of which a licence must contain one. Weak copyleft is fine for a library that is installed and not changed.
PERMITTED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|LGPL|Lesser General Public|Unlicense|Zlib|"
    r"CC0|CNRI|PostgreSQL|0BSD|HPND|Public Domain",
    re.IGNORECASE,
)
#: Licences that would bind whoever passes the whole on.
REFUSED = re.compile(
    r"AGPL|Affero|(?<!L)GPL|(?<!Lesser )General Public|SSPL|BUSL|Commons Clause|Non-?Commercial", re.IGNORECASE
)
#: Distributions whose metadata name no licence, with what their licence file says.
KNOWN = {"ta-lib": "BSD-2-Clause"}

LEAKS = (
    (
        "a package index",
        re.compile(
            r"https?://[^\s\"')]*/simple\b|index-url\s*[= ]\s*https?:|files\.pythonhosted|download\.pytorch",
            re.I,
        ),
    ),
    (
        "a path of somebody's machine",
        re.compile(r"(?<![\w.\-])/(?:work|root|home/(?!runner)\w+|Users/\w+|opt/(?:wheels|pypi)\w*)/", re.I),
    ),
    ("an AWS key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("a broker key", re.compile(r"\b(?!AKIA)[PA]K(?=[A-Z]*\d[A-Z]*\d)[0-9A-Z]{18,24}\b")),
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")),
    ("a token", re.compile(r"\b(?:ghp|gho|glpat|xox[abp]|sk-[a-z]+)[-_][A-Za-z0-9_\-]{20,}\b")),
    ("a local build of a pinned release", re.compile(r"^[a-z0-9][\w.\-]*==[\w.]+\+\w+", re.M)),
)


def licence_of(distribution: Distribution) -> str:
    """What the metadata say about the licence: the expression, else classifiers, else free text; "" if nothing."""
    metadata = distribution.metadata
    expression = " ".join(metadata.get_all("License-Expression") or [])
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    text = " ".join(metadata.get_all("License") or []).strip()
    return expression or " ".join(classifiers) or text[:300]


def licence_findings() -> Iterator[str]:
    """One line for every installed distribution without a known or with a refused licence."""
    for distribution in sorted(distributions(), key=lambda d: d.name.lower()):
        said = KNOWN.get(distribution.name.lower()) or licence_of(distribution)
        # A choice ("MIT OR GPL-3.0") and a dual classifier leave the permitted one open.
        if not said or not PERMITTED.search(said):
            yield f"{distribution.name} {distribution.version}: no licence known to be fine ({said or 'none given'})"
        elif REFUSED.search(said) and " OR " not in said.upper():
            yield f"{distribution.name} {distribution.version}: {said}"


#: These two spell out what a leak looks like.
EXAMPLES = {"tools/hygiene.py", "trading_assets_tests/project/test_hygiene.py"}


def tracked_files() -> list[Path]:
    """Every file that git tracks here and that is there, but the two that hold the examples."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    names = set(listed.decode().split("\0")) - {""} - EXAMPLES
    return [ROOT / name for name in sorted(names) if (ROOT / name).is_file()]


def leak_findings(files: list[Path]) -> Iterator[str]:
    """One line for every place in ``files`` that a stranger must not see. Files that are no text are passed over."""
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for what, pattern in LEAKS:
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
                yield f"{shown}:{line}: {what}: {match.group(0)[:60]}"


def main() -> int:
    """Print the findings; 1 if there is any."""
    findings = [*licence_findings(), *leak_findings(tracked_files())]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
