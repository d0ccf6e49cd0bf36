# SPDX-License-Identifier: MIT
"""Does `moonheap script` make pictures with Graphviz's dot, and say what is missing without it?

Context: test. `dot` is a stand-in that keeps its arguments, found first in PATH; where Graphviz is
installed it is asked too.
"""

import os
import shutil

from harness import Program, Skip, check, main, tool, victim

DRAW = "print(heap.snapshot():all():where{min_size=1001, max_size=1010}:dot(args[1], {limit=20}))"
STAND_IN = """#!/bin/sh
for argument; do echo "$argument" >>"$0.called"; done
case $1 in -Tpng) exit 3 ;; esac
for argument; do case $argument in -o*) echo picture >"${argument#-o}" ;; esac; done
"""


class Folder:
    """A saved snapshot with references, a script that draws it, and a folder for `dot`."""

    def __enter__(self):
        self.program = Program([victim("unheld")], args="snap.moonheap")
        check(self.program.hear() == "held", "the victim holds its blocks")
        self.program.run("heap.snapshot():save(args[1])")
        self.path = self.program.directory
        self.program.write_script(DRAW)
        os.mkdir(self.file("bin"))
        return self

    def __exit__(self, *_):
        self.program.close()

    def file(self, name):
        return os.path.join(self.path, name)

    def draw(self, picture, path=None):
        return tool("script", self.file("snap.moonheap"), self.program.script_path, picture,
                    PATH=path or f"{self.file('bin')}:{os.environ['PATH']}")

    def install(self):
        with open(self.file("bin/dot"), "w") as f:
            f.write(STAND_IN)
        os.chmod(self.file("bin/dot"), 0o755)


def test_dot_is_asked():
    with Folder() as folder:
        folder.install()
        picture = folder.file("heap.svg")
        done = folder.draw(picture)
        check(done.returncode == 0 and done.stdout == "true\n", "drawn", done)
        with open(folder.file("bin/dot.called")) as f:
            check(f.read().split() == ["-Tsvg", f"-o{picture}", f"{picture}.dot"], "for svg")
        with open(picture) as f:
            check(f.read() == "picture\n", "by dot")
        with open(f"{picture}.dot") as f:
            check(f.read().startswith("digraph heap {"), "from the text beside it")


def test_dot_fails():
    with Folder() as folder:
        folder.install()
        done = folder.draw(folder.file("heap.png"))
        check(done.returncode == 0 and "'dot' could not make" in done.stdout, "it says so", done)


def test_no_dot():
    with Folder() as folder:
        picture = folder.file("heap.svg")
        done = folder.draw(picture, path=folder.file("bin"))
        check(done.stdout.startswith("nil\t") and "apt-get install graphviz" in done.stdout,
              "it says what is missing", done)
        check(os.path.exists(picture + ".dot") and not os.path.exists(picture),
              "the text is there all the same")


def test_the_live_program_starts_none():
    with Folder() as folder:
        folder.install()
        run = folder.program.run("heap.snapshot():all():largest(1)[1]:why():dot('live.svg')")
        check("live.svg.dot is written; the picture: dot -Tsvg -o 'live.svg'" in run.body,
              "it says how", run)
        check(os.path.exists(folder.file("live.svg.dot")) and
              not os.path.exists(folder.file("bin/dot.called")), "and does not")


def test_graphviz_understands_it():
    if not shutil.which("dot"):
        raise Skip("no dot (Debian: graphviz)")
    with Folder() as folder:
        done = folder.draw(folder.file("heap.svg"), path=os.environ["PATH"])
        check(done.stdout == "true\n", "drawn", done)
        with open(folder.file("heap.svg")) as f:
            check("<svg" in f.read(), "a picture")


if __name__ == "__main__":
    main()
