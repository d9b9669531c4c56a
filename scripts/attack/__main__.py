"""Attack everything for less than three minutes, and print counts: `python -m scripts.attack [--share S] [--seed N]`.

The targets run on this machine, with a scripted model: a real server, the readers of documents, the audit log, and
downloads from an imitated hub. The exit status is 1 if something got through.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from scripts.attack.connections import attack_connections
from scripts.attack.documents import attack_documents
from scripts.attack.downloads import attack_downloads
from scripts.attack.logs import attack_logs
from scripts.attack.report import Report
from scripts.attack.requests import attack_requests

Attack = Callable[[Report, random.Random, float, Path], None]

ATTACKS: dict[str, Attack] = {
    "requests": attack_requests,
    "connections": attack_connections,
    "documents": attack_documents,
    "logs": attack_logs,
    "downloads": attack_downloads,
}


def main() -> int:
    """Run the attack; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.attack", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="part of the attempts that is made, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random attempts")
    parser.add_argument("areas", nargs="*", choices=[*ATTACKS, []], help="areas; all by default")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    report = Report()
    for area in arguments.areas or ATTACKS:
        with (
            tempfile.TemporaryDirectory(prefix="attack-") as folder,
            report.measure(area),
            contextlib.redirect_stderr(io.StringIO()),  # progress bars
        ):
            ATTACKS[area](report, random.Random(f"{area} {arguments.seed}"), arguments.share, Path(folder))
    print(report.format())
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
