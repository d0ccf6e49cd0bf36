# SPDX-License-Identifier: MIT
"""Does scripts/quickstart show both answers, end well and leave nothing behind?"""
import glob
import os
import re
import subprocess
import tempfile

import harness
from harness import SOURCE, check


def test_quickstart():
    before = set(glob.glob(os.path.join(tempfile.gettempdir(), "moonheap-quickstart.*")))
    with tempfile.TemporaryDirectory(prefix="moonheap-test-") as cache:
        env = harness.environment(moonheap=False) | {"MOONHEAP_CATALOG": cache}
        done = subprocess.run([f"{SOURCE}/scripts/quickstart"], capture_output=True, text=True,
                              timeout=280, env=env)
    check(done.returncode == 0, f"exit {done.returncode}", done.stdout[-3000:], done.stderr)
    answers = re.findall(r"^DBG>> debug_script\.lua run (\d), .*?^<<DBG ", done.stdout, re.M | re.S)
    check(answers == ["1", "2"], "two answers, of two scripts", done.stdout)
    check(re.search(r"^session .* \+1 000 ", done.stdout, re.M), "the first shows the leak",
          done.stdout)
    check(re.search(r"make_session.* \+500 ", done.stdout), "the second what grew since",
          done.stdout)
    check(len(done.stdout.splitlines()) < 100, "it fits on a few screens", done.stdout)
    after = set(glob.glob(os.path.join(tempfile.gettempdir(), "moonheap-quickstart.*")))
    check(after == before, "its folder is gone", after - before)


harness.main()
