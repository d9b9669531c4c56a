"""A small part of the bounded attack: nothing gets through, and what gets through is reported."""

import subprocess
import sys

import pytest

from scripts.attack.report import Report
from tests import ROOT


@pytest.mark.slow
def test_a_small_part_of_the_attack_gets_nothing_through():
    command = [sys.executable, "-m", "scripts.attack", "--share", "0.05"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert process.returncode == 0, process.stdout + process.stderr[-2000:]
    counts = {line.split()[0]: line.split()[1:3] for line in process.stdout.splitlines()[1:]}
    assert set(counts) == {"requests", "connections", "documents", "logs", "downloads"}
    for area, (tried, through) in counts.items():
        assert int(tried.replace(",", "")) > 15, area
        assert through == "0"


def test_what_gets_through_is_counted_and_described():
    report = Report()
    report.check("logs", True, "a flipped bit")
    assert report.is_clean
    report.check("logs", False, "a removed line was not noticed")
    with report.measure("downloads"):
        raise ValueError("unexpected")
    assert not report.is_clean
    text = report.format()
    assert text.splitlines()[1].split()[:3] == ["logs", "2", "1"]
    assert "logs: a removed line was not noticed" in text
    assert "downloads: the attack ended early: ValueError: unexpected" in text
