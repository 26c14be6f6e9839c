"""The predecessor itself, in this environment: what is said of it is still true."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

DEFECTS = Path(__file__).parents[1] / "defects"


def test_every_listed_defect_is_one_of_the_predecessors(tmp_path: Path) -> None:
    """Each of the tests that pass here fails there."""
    report = tmp_path / "report.xml"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider"),
            *(f"--rootdir={DEFECTS}", f"--confcutdir={DEFECTS}", f"--junitxml={report}"),
            str(DEFECTS),
        ],
        env={**os.environ, "RETORT_DEFECTS_AGAINST": "flask_sqlalchemy"},
        capture_output=True,
    )
    cases = list(ElementTree.parse(report).iter("testcase"))
    passed = [case.get("name") for case in cases if case.find("failure") is None]
    assert len(cases) == 13
    assert passed == []
