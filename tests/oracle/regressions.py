# ruff: noqa: E501 (data, as the oracle prints them)
"""Sequences in which a re-run once differed from a run from top to bottom; replayed before all others."""

from __future__ import annotations

from tests.oracle.trial import Story

REGRESSIONS: dict[str, Story] = {
    "a loop's variable after raw data changed": Story(
        cells=(("c1", "c = [8, 5]"), ("c2", "g = 0\nfor x in c:\n    g += x")),
        steps=(("run", "c1"), ("run", "c2"), ("raw", "raw.fits", 1), ("rerun", "living")),
    ),
    "a set is no list": Story(
        cells=(("c2", "a = 4"), ("c4", "h = [a, 8]"), ("c5", "f = [h, h]")),
        steps=(("rerun", "living"), ("insert", 2, "c6", "f = {9, 5}"), ("rerun", "living")),
    ),
    "a class that a failing cell used": Story(
        cells=(
            (
                "c1",
                "class L:\n    tally = 0\n\n    def __init__(self, v):\n        self.v = v\n\n    def __repr__(self):\n        return f'L({self.v}, {self.tally})'\n\n    def add(self, x):\n        self.v += x\n        L.tally += 4\n        return self.v",
            ),
            (
                "c4",
                "print(flagdata(vis='b.ms', mode='summary')['flags'][:8])\nwith open('notes.txt', 'a') as s:\n    s.write(f'{L.tally} 8')",
            ),
        ),
        steps=(("rerun", "living"),),
    ),
    "raw text modified in place by a cell that is edited": Story(
        cells=(),
        steps=(
            ("insert", 0, "c7", "with open('notes.txt', 'r+') as s:\n    s.seek(0)\n    s.write('3')"),
            ("run", "c7"),
            (
                "set",
                "c7",
                "with open('notes.txt', 'r+') as s:\n    s.seek(0)\n    s.write('3')\nwith open('z.txt', 'w') as s:\n    s.write(f'{4} 3\\n')",
            ),
            ("rerun", "new"),
        ),
    ),
    "a cell that removes a file and lists the directory": Story(
        cells=(
            ("c1", "with open('x.txt', 'w') as s:\n    s.write(f'{1} 9\\n')"),
            ("c3", "import os"),
            (
                "c6",
                "if os.path.exists('x.txt'):\n    os.remove('x.txt')\ne = len(sorted(n for n in os.listdir('.') if n.endswith('.txt')))",
            ),
        ),
        steps=(("rerun", "new"),),
    ),
    "a cell that lists what another wrote": Story(
        cells=(
            ("c1", "fc = lambda x: x * 2 % 97 + 9"),
            ("c2", "with open('x.txt', 'w') as s:\n    s.write(f\"{fc(6)} 9\\n\")"),
            ("c4", "import os\nos.remove('x.txt')\nprint(sorted((n for n in os.listdir('.') if n.endswith('.txt'))))"),
        ),
        steps=(("rerun", "living"),),
    ),
    "a loop's variable in a cell that failed": Story(
        cells=(("c7", "h = [6, 4]"), ("c10", "for x in range(1):\n    h.append(x)")),
        steps=(
            ("rerun", "living"),
            ("set", "c10", "importuvfits(fitsfile='raw.fits', vis='a.ms')\nfor x in range(1):\n    h.append(x)"),
            ("rerun", "living"),
        ),
    ),
    "an instance made by a cell that failed": Story(
        cells=(
            (
                "c5",
                "class K:\n    tally = 4\n    def __init__(self, v):\n        self.v = v\n    def __repr__(self):\n        return f'K({self.v}, {self.tally})'\n    def add(self, x):\n        self.v += x\n        K.tally += 1\n        return self.v",
            ),
            ("c21", "flux = setjy(vis=f'{stem}.ms', fluxdensity=[3 * 1.5, 0.0, 0.0, 0.0])\na = K(3)"),
        ),
        steps=(("rerun", "living"),),
    ),
    "a table made lower down": Story(
        cells=(
            ("c1", "niter = 0"),
            ("c2", "importuvfits(fitsfile='raw.fits', vis='b.ms')"),
            (
                "c3",
                "split(vis='b.ms', outputvis='c.ms')\ng = gaincal(vis='b.ms', caltable='a.gcal', solint=f'{niter}s')",
            ),
            ("c6", "applycal(vis='b.ms', gaintable=['a.gcal'])"),
            ("c7", "flagdata('b.ms', field=str(niter), flagbackup=False)\napplycal(vis='c.ms', gaintable=['a.gcal'])"),
        ),
        steps=(("rerun", "living"), ("move", "c3", 3), ("rerun", "living")),
    ),
    "a file written and listed in one cell": Story(
        cells=(
            ("c1", "import os"),
            ("c5", "from pathlib import Path"),
            (
                "c7",
                "code = Path('y.txt').write_text(f'{2} 2')\nprint(sorted((n for n in os.listdir('.') if n.endswith('.txt'))))",
            ),
        ),
        steps=(("rerun", "living"),),
    ),
    "data that a cell reads while its maker does not run": Story(
        cells=(
            ("c1", "stem = 'b'"),
            ("c2", "par = 3\nd = 6\nwhile d < 20:\n    d += max(True, 5)"),
            ("c3", "import numpy as np\na = np.zeros(5) + d"),
            ("c5", "importuvfits(fitsfile='raw.fits', vis=f'{stem}.ms')"),
            ("c6", "tclean(vis=f'{stem}.ms', imagename='img', niter=par)\nf = (a,)"),
        ),
        steps=(("rerun", "living"), ("insert", 3, "c8", "a[:] = 6 % 97"), ("run", "c3"), ("rerun", "living")),
    ),
    "a loop's variable after an early cut-off": Story(
        cells=(
            ("c1", "h = 1"),
            ("c2", "b = 6"),
            ("c9", "def fd(x):\n    return x + h"),
            ("c12", "g = [fd(b), 0]"),
            ("c13", "e = 0\nfor x in g:\n    e += x"),
        ),
        steps=(("rerun", "new"), ("set", "c2", "b = 1"), ("rerun", "living")),
    ),
    "a file appended and listed in one cell": Story(
        cells=(
            ("c1", "d, *b = [0, 8]"),
            (
                "c2",
                "with open('z.txt', 'a') as s:\n    s.write(f'{d} 9\\n')\nimport os\nprint(sorted((n for n in os.listdir('.') if n.endswith('.txt'))))",
            ),
        ),
        steps=(("rerun", "living"),),
    ),
    "a name bound in two places": Story(
        cells=(
            ("c1", "c = 6\nf = {'k': 2, 'm': 1}"),
            ("c2", "import numpy as np\nb = np.arange(6)"),
            ("c3", "d = [c * 2 % 97, 4]"),
            ("c5", "a = sum(d)\ng = b.T"),
            ("c6", "def fa(x):\n    return x + a"),
            ("c9", "h = b"),
            ("c12", "g = f.get('k', 4)"),
            ("c13", "import math\nf = math.floor(fa(g) / 2)\nb = h.copy()"),
            (
                "c14",
                "def pair():\n    items = []\n\n    def put(x):\n        items.append(x)\n\n    def get():\n        return items\n    return (put, get)\nfb, fc = pair()",
            ),
            ("c15", "b = fc()"),
        ),
        steps=(("rerun", "living"), ("move", "c12", 15), ("rerun", "new")),
    ),
    "flags of a call that was restored, under cells that did not run": Story(
        cells=(
            ("c1", "niter = 2"),
            ("c5", "importuvfits(fitsfile='raw.fits', vis='a.ms')"),
            ("c6", "b = 7\nflagdata('a.ms', field=str(niter), flagbackup=False)"),
            ("c8", "flagdata('a.ms', field=str(0), flagbackup=False)"),
            (
                "c10",
                "h = flagdata(vis='a.ms', mode='summary')\nwith open('y.txt', 'w') as s:\n    s.write(f'{b * 2 % 97} 9\\n')",
            ),
        ),
        steps=(
            ("rerun", "living"),
            ("set", "c6", "b = 0\nflagdata('a.ms', field=str(niter), flagbackup=False)"),
            ("rerun", "living"),
        ),
    ),
    "raw text modified by a cell that fails now": Story(
        cells=(
            ("c1", "with open('x.txt', 'w') as s:\n    s.write(f'{0} 1\\n')"),
            ("c2", "with open('x.txt', 'r+') as s:\n    s.seek(0)\n    s.write('3')"),
            ("c3", "import numpy as np\nc = np.arange(5)"),
            ("c6", "with open('notes.txt', 'a') as s:\n    s.write(f\"{int(c.sum())} 7\")"),
        ),
        steps=(("rerun", "living"), ("delete", "c3"), ("delete", "c1"), ("rerun", "living")),
    ),
    "flag versions after a call that was restored": Story(
        cells=(
            ("c2", "f = 5\nimportuvfits(fitsfile='raw.fits', vis='a.ms')"),
            ("c4", "importuvfits(fitsfile='raw.fits', vis='b.ms')"),
            ("c5", "g = f + 9"),
            ("c6", "gaincal(vis='b.ms', caltable='a.gcal', solint=f'{3}s')"),
            ("c7", "flagdata(vis='b.ms', field=str(abs(g) % 4))"),
        ),
        steps=(
            ("rerun", "new"),
            (
                "set",
                "c6",
                "flux = setjy(vis='a.ms', fluxdensity=[2 * 1.5, 0.0, 0.0, 0.0])\ngaincal(vis='b.ms', caltable='a.gcal', solint=f'{3}s')",
            ),
            ("rerun", "living"),
        ),
    ),
    "raw text modified in place, then the ledger was lost": Story(
        cells=(
            ("c8", "with open('notes.txt') as s:\n    print(s.readline()[:-1])"),
            ("c11", "with open('notes.txt', 'r+') as s:\n    s.seek(2)\n    s.write('6')"),
        ),
        steps=(("rerun", "living"), ("lose ledger",), ("rerun", "living")),
    ),
    "the same import twice": Story(
        cells=(("c3", "importuvfits(fitsfile='raw.fits', vis='b.ms')"),),
        steps=(("insert", 0, "c23", "importuvfits(fitsfile='raw.fits', vis='b.ms')"), ("rerun", "new")),
    ),
    "a name left over by a cell that fails": Story(
        cells=(("c1", "g = [9, 5]\nc = g[1:]"), ("c5", "f = [list(c), c]"), ("c8", "a = [c, c]")),
        steps=(("rerun", "living"), ("set", "c5", "h.pop('m', None)"), ("rerun", "living")),
    ),
    "one of two functions that share a list is bound anew": Story(
        cells=(
            ("c1", "d = math.floor(7 / 2)"),
            ("c2", "h = 9"),
            (
                "c4",
                "def pair():\n    items = []\n\n    def put(x):\n        items.append(x)\n\n    def get():\n        return list(items)\n    return (put, get)\nfb, fc = pair()",
            ),
        ),
        steps=(
            ("insert", 2, "c6", "def fc(items):\n    items.append(1)\n    return len(items)"),
            ("run", "c4"),
            ("rerun", "living"),
        ),
    ),
    "a file made by a program and appended by a cell that fails": Story(
        cells=(
            (
                "c8",
                "import subprocess\ncode = subprocess.run(['cp', 'notes.txt', 'y.txt']).returncode\nwith open('y.txt', 'a') as s:\n    s.write(f'{sum(c)} 8\\n')",
            ),
        ),
        steps=(("rerun", "new"),),
    ),
    "a directory with what a program made": Story(
        cells=(
            (
                "c1",
                "import subprocess, os\nsubprocess.run(['cp', 'notes.txt', 'y.txt'])\nprint(sorted(n for n in os.listdir('.') if n.endswith('.txt')))",
            ),
            ("c2", "with open('x.txt', 'w') as s:\n    s.write('1')"),
        ),
        steps=(
            ("rerun", "living"),
            ("set", "c2", "z=1"),
            ("rerun", "living"),
            ("delete", "c1"),
            ("rerun", "new"),
        ),
    ),
    "files that a program and the cell have made": Story(
        cells=(
            (
                "c1",
                "import subprocess, os\nsubprocess.run(['cp', 'notes.txt', 'y.txt'])\nprint(os.path.exists('y.txt'), os.path.exists('x.txt'))\nos.makedirs('d/e')\nsubprocess.run(['cp', 'notes.txt', 'd/e/y.txt'])\nwith open('d/e/y.txt','a') as s:\n    s.write('3')",
            ),
            ("c2", "with open('x.txt', 'w') as s:\n    s.write('1')"),
            ("c3", "import os\nos.remove('y.txt')\nwith open('d/e/y.txt') as s:\n    print(s.read(),os.listdir('d'))"),
        ),
        steps=(
            ("rerun", "living"),
            ("set", "c2", "z=1"),
            ("rerun", "living"),
            ("set", "c1", "f"),
            ("rerun", "new"),
        ),
    ),
    "raw text written by a cell that says something else now": Story(
        cells=(
            ("c6", "stem = 'a'"),
            ("c7", "par = 0"),
            (
                "c8",
                "importuvfits(fitsfile='raw.fits', vis=f'{stem}.ms')\nimportuvfits(fitsfile='raw.fits', vis='b.ms')",
            ),
            ("c12", "g = gaincal(vis='b.ms', caltable='b.gcal', solint=f'{par}s')"),
            ("c24", "with open('notes.txt', 'w') as s:\n    s.write(f\"{7} 6\")"),
        ),
        steps=(
            ("rerun", "living"),
            ("set", "c24", "applycal(vis='a.ms', gaintable=['b.gcal'])"),
            ("rerun", "living"),
        ),
    ),
    "a cell like the one above that needs what could not be kept": Story(
        cells=(
            ("c1", "print(6)\ndef fb():\n    print('called', 4)"),
            ("c2", "b = 9"),
            (
                "c3",
                "def make(count):\n\n    def step():\n        nonlocal count\n        count += 1\n        return count\n    return step\nfa = make(b + 0)\nb = iter([1, 2, 3, 4])\nfb()",
            ),
        ),
        steps=(
            ("run", "c1"),
            ("run", "c2"),
            ("run", "c3"),
            ("insert", 1, "c9", "def fb():\n    print('called', 4)"),
            (
                "insert",
                4,
                "c10",
                "def make(count):\n\n    def step():\n        nonlocal count\n        count += 1\n        return count\n    return step\nfa = make(b + 0)\nb = iter([1, 2, 3, 4])\nfb()",
            ),
            ("rerun", "living"),
        ),
    ),
    "tasks that fail in a try, before and after their data are there": Story(
        cells=(
            (
                "a",
                "try:\n    split(vis='a.ms', outputvis='c.ms')\nexcept Exception as e:\n    print('no', type(e).__name__)",
            ),
            ("b", "importuvfits(fitsfile='raw.fits', vis='a.ms')"),
            (
                "c",
                "try:\n    importuvfits(fitsfile='raw.fits', vis='a.ms')\nexcept Exception as e:\n    print('no', type(e).__name__)",
            ),
            ("d", "try:\n    split(vis='a.ms', outputvis='c.ms')\nexcept Exception as e:\n    print('no')"),
        ),
        steps=(
            ("rerun", "living"),
            ("rerun", "new"),
            ("move", "b", 0),
            ("rerun", "living"),
            ("delete", "c"),
            ("rerun", "new"),
            ("undo", 1),
            ("raw", "raw.fits", 2),
            ("rerun", "living"),
        ),
    ),
    "a generator kept in a name": Story(
        cells=(
            ("a", "g = (i*i for i in range(9))"),
            ("b", "print(next(g))"),
            ("c", "print(next(g))"),
            ("d", "x = list(g)"),
        ),
        steps=(
            ("rerun", "living"),
            ("set", "b", "print(next(g)+1)"),
            ("rerun", "living"),
            ("rerun", "new"),
            ("set", "c", "print(next(g), 5)"),
            ("rerun", "new"),
            ("delete", "b"),
            ("rerun", "living"),
        ),
    ),
    "a file written through a handle kept across cells": Story(
        cells=(
            ("a", "s = open('x.txt','w')"),
            ("b", "_ = s.write('one\\n')"),
            ("c", "_ = s.write('two\\n')"),
            ("d", "s.close()"),
            ("e", "with open('x.txt') as t:\n    print(t.read())"),
        ),
        steps=(
            ("rerun", "living"),
            ("set", "b", "_ = s.write('uno\\n')"),
            ("rerun", "living"),
            ("set", "c", "_ = s.write('due\\n')"),
            ("rerun", "new"),
        ),
    ),
    "a file read through a handle kept across cells": Story(
        cells=(
            ("a", "s = open('notes.txt')"),
            ("b", "print(s.readline())"),
            ("c", "print(s.readline())"),
            ("d", "s.close()"),
        ),
        steps=(
            ("rerun", "living"),
            ("set", "b", "print(s.readline(),1)"),
            ("rerun", "living"),
            ("raw", "notes.txt", 2),
            ("rerun", "living"),
            ("set", "c", "print(s.readline(),2)"),
            ("rerun", "new"),
        ),
    ),
    "arrays of megabytes, views and aliases": Story(
        cells=(
            ("a", "import numpy as np\nx = np.arange(400000.)"),
            ("b", "y = x.copy()\nz = [0]"),
            ("c", "y += 1\nz.append(1)"),
            ("d", "print(y.sum(), z)"),
            ("e", "w = x\nw[0] = 5"),
            ("f", "print(x[0], y[0])"),
        ),
        steps=(
            ("rerun", "living"),
            ("set", "c", "y += 2\nz.append(1)"),
            ("rerun", "living"),
            ("set", "e", "w = x\nw[0] = 6"),
            ("rerun", "living"),
            ("rerun", "new"),
            ("set", "f", "print(x[0], y[0], 1)"),
            ("rerun", "new"),
            ("move", "e", 0),
            ("undo", 1),
            ("delete", "e"),
            ("rerun", "living"),
        ),
    ),
    "one of three that share a closure leaves": Story(
        cells=(
            ('c1', 'h = [2, 7]'),
            ('c2', 'b = 5'),
            ('c3', 'fb = lambda x: x * 2 % 97 + b\na = sorted(h)'),
            ('c4', 'c = b\nf = a[:]'),
            ('c9', 'g = [f, h]'),
            ('c16', 'f = fb(c)'),
        ),
        steps=(
            ('rerun', 'living'),
            ('set', 'c16', 'd = helper.value + helper.twice(fb(d))'),
            ('rerun', 'living'),
        ),
    ),
    "three share an object and one is bound anew": Story(
        cells=(
            ('c1', 'b = 0'),
            ('c5', 'def pair():\n    items = []\n\n    def put(x):\n        items.append(x)\n\n    def get():\n        return items\n    return (put, get)\nfd, fc = pair()'),
            ('c7', 'g = fc()'),
            ('c8', 'g = b'),
            ('c9', 'fb, fc = pair()'),
            ('c10', 'fd(0)'),
        ),
        steps=(
            ('rerun', 'living'),
        ),
    ),
    "two names with one kept value": Story(
        cells=(
            ('c1', 'b = [4, 0]'),
            ('c2', 'def fb():\n    b.append(4)'),
            ('c4', 'fb()'),
            ('c6', 'e = b[:]'),
            ('c9', 'del b[2:]'),
            ('c10', 'f = [list(e), b]'),
        ),
        steps=(
            ('rerun', 'new'),
            ('move', 'c9', 12),
            ('rerun', 'new'),
        ),
    ),
    "a function defined anew after it was called": Story(
        cells=(
            ('c1', 'def fc(x, seen=[]):\n    seen.append(x)\n    return sum(seen)'),
            ('c2', 'h = fc(fc(9))'),
            ('c3', 'import numpy as np'),
            ('c4', 'c = [fc(h), 3]'),
            ('c7', 'def make(count):\n\n    def step():\n        nonlocal count\n        count += 1\n        return count\n    return step\nfb = make(sum(c))'),
            ('c10', 'a = np.arange(5)'),
            ('c20', 'a = fb()\ndef fb(x):\n    return x + a'),
        ),
        steps=(
            ('rerun', 'new'),
        ),
    ),
    "one of two that shared, bound anew by a cell that did not run": Story(
        cells=(
            ('c1', 'g = 4'),
            ('c3', 'import numpy as np\nf = np.zeros(5) + g + 2\nc = f[1:]'),
            ('c4', 'from helper import twice\nf = twice(9)'),
            ('c6', "d = {'k': int(c.sum()), 'm': 6}"),
        ),
        steps=(
            ('rerun', 'new'),
            ('set', 'c3', 'import numpy as np\nf = np.zeros(5) + g + 2\nc = f[4:]'),
            ('rerun', 'living'),
        ),
    ),
    "a class brought back that an instance left over shares": Story(
        cells=(
            ('c1', 'g = 6'),
            ('c2', "class L:\n    tally = 4\n\n    def __init__(self, v):\n        self.v = v\n\n    def __repr__(self):\n        return f'L({self.v}, {self.tally})'\n\n    def add(self, x):\n        self.v += x\n        L.tally += 3\n        return self.v"),
            ('c3', 'e = g * 2 % 97'),
            ('c9', 'f = L(e)'),
            ('c11', "class L:\n    tally = 8\n\n    def __init__(self, v):\n        self.v = v\n\n    def __repr__(self):\n        return f'L({self.v}, {self.tally})'\n\n    def add(self, x):\n        self.v += x\n        L.tally += 9\n        return self.v"),
        ),
        steps=(
            ('rerun', 'living'),
            ('set', 'c3', 'e = g * 2 % 97\ng = [L.tally, 2]'),
            ('rerun', 'living'),
        ),
    ),
    "seeded again with the same seed": Story(
        cells=(
            ('c5', 'import numpy as np\nnp.random.seed(0)'),
        ),
        steps=(
            ('rerun', 'new'),
            ('run', 'c5'),
            ('insert', 8, 'c9', 'g = int(np.random.randint(0, 99))'),
            ('rerun', 'living'),
        ),
    ),
    "sharing ended by a cell that did not run, then a list": Story(
        cells=(
            ('c1', 'import math\nf = math.floor(5 / 2)'),
            ('c2', "importuvfits(fitsfile='raw.fits', vis='b.ms')"),
            ('c4', 'a = f'),
            ('c5', 'e = math.floor(a / 2)'),
        ),
        steps=(
            ('rerun', 'living'),
            ('set', 'c2', "b = [f + 7, 1]\ne = {'in': b}"),
            ('insert', 6, 'c7', 'e += sum(b)'),
            ('rerun', 'new'),
        ),
    ),
    "names that a function defined anew would use": Story(
        cells=(
            ('c3', 'def pair():\n    items = []\n\n    def put(x):\n        items.append(x)\n\n    def get():\n        return items\n    return (put, get)\nfb, fd = pair()'),
            ('c7', 'a = fd()'),
            ('c11', 'c, *f = [2, 7]'),
        ),
        steps=(
            ('rerun', 'living'),
            ('set', 'c7', "a = fd()\ndef fd():\n    print('called', c)"),
            ('rerun', 'living'),
        ),
    ),
    "appending after a lost ledger, renamed": Story(
        cells=(
            ('c1', "with open('z.txt', 'w') as s:\n    s.write(f'{6} 6\\n')"),
            ('c2', "with open('z.txt') as s:\n    e = len(s.read())"),
            ('c4', "with open('x.txt', 'a') as s:\n    s.write(f'{e} 8\\n')"),
        ),
        steps=(
            ('rerun', 'living'),
            ('lose ledger',),
            ('rename',),
            ('rerun', 'living'),
        ),
    ),
    "listing after a lost ledger, renamed": Story(
        cells=(
            ('c2', "f = 2\nimport os\nprint(sorted(n for n in os.listdir('.') if n.endswith('.txt')))"),
            ('c3', "with open('x.txt', 'w') as s:\n    s.write('1')"),
        ),
        steps=(
            ('rerun', 'new'),
            ('lose ledger',),
            ('rename',),
            ('rerun', 'living'),
        ),
    ),
    "a view seen from its other end": Story(
        cells=(
            ('c2', "class L:\n    tally = 0\n\n    def __init__(self, v):\n        self.v = v\n\n    def __repr__(self):\n        return f'L({self.v}, {self.tally})'\n\n    def add(self, x):\n        self.v += x\n        L.tally += 9\n        return self.v"),
            ('c6', 'f = 1'),
            ('c9', 'import numpy as np\ne = np.zeros(5) + f'),
            ('c12', 'd = e[::-1]'),
            ('c14', 'e = [L.tally, 6]'),
            ('c16', 'c = d[::-1]'),
        ),
        steps=(
            ('rerun', 'living'),
        ),
    ),
    "an iterator needed by a cell that turned out to run": Story(
        cells=(
            ('c1', 'e = 0'),
            ('c2', 'del e'),
            ('c3', 'b = 7'),
            ('c4', 'e = b * 2 % 97'),
            ('c5', 'import math'),
            ('c6', 'a = iter([1, 2, 3, 4])'),
            ('c7', 'def make(count):\n\n    def step():\n        nonlocal count\n        count += 1\n        return count\n    return step'),
            ('c8', "d = {'k': e, 'm': 6}"),
            ('c9', 'd = [b + 1, 0]'),
            ('c10', 'f = [d, d]\nh = next(a, 0)'),
            ('c12', 'c = f[0]'),
            ('c14', 'f.append([5])'),
            ('c15', 'g = next(a, 0)\nc[-1:] = []'),
        ),
        steps=(
            ('rerun', 'living'),
            ('delete', 'c14'),
            ('insert', 9, 'c31', 'd = [b + 1, 0]\nfd = make(5)'),
            ('rerun', 'new'),
        ),
    ),
    "a closed file that a block which failed did not bind": Story(
        cells=(
            ('c2', 'with open(\'x.txt\', \'a\') as s:\n    s.write(f"{5} 7\\n")'),
            ('c4', "try:\n    with open('z.txt') as s:\n        d = s.read(9)\nexcept FileNotFoundError:\n    d = ''"),
        ),
        steps=(
            ('rerun', 'living'),
            ('set', 'c2', 'd = [fd(0), 4]'),
            ('rerun', 'living'),
        ),
    ),
    "a task that found nothing where there is something now": Story(
        cells=(
            ('c4', "importuvfits(fitsfile='raw.fits', vis='a.ms')"),
            ('c6', "tclean(vis='a.ms', imagename='map', niter=0)"),
            ('c12', "immoments(imagename='map.image', outfile='mom')"),
        ),
        steps=(
            ('delete', 'c6'),
            ('rerun', 'living'),
            ('undo', 2),
            ('rerun', 'living'),
        ),
    ),
    "values lost: a group made again by a cell that ran late": Story(
        cells=(
            ('c1', 'import numpy as np\nf = np.arange(6)'),
            ('c3', 'def make(count):\n    def step():\n        nonlocal count\n        count += 1\n        return count\n    return step\nfc = make(int(f.sum()))'),
            ('c4', 'e = fc()'),
            ('c9', 'def pair():\n    items = []\n    def put(x):\n        items.append(x)\n    def get():\n        return list(items)\n    return put, get\nfc, fa = pair()\nimport math\nd = math.floor(9 / 2)\nh = [9, 4]'),
            ('c11', 'c = f\na = {2, e}\ntry:\n    f = h[5]\nexcept IndexError:\n    f = -1'),
            ('c13', 'print(d, f, h)'),
            ('c14', "b = {'in': c}"),
            ('c15', 'a = np.zeros(5) + 7'),
        ),
        steps=(
            ('rerun', 'living'),
            ('lose values', 601),
            ('delete', 'c3'),
            ('rerun', 'living'),
        ),
    ),
    "values lost: found out cell by cell": Story(
        cells=(
            ('c1', 'g = [5, 4]'),
            ('c5', "class L:\n    tally = 7\n\n    def __init__(self, v):\n        self.v = v\n\n    def __repr__(self):\n        return f'L({self.v}, {self.tally})'\n\n    def add(self, x):\n        self.v += x\n        L.tally += 4\n        return self.v\nd = [len(g), 3]"),
            ('c7', 'from helper import twice\nb = twice(len(g))'),
            ('c18', "def make(count):\n    def step():\n        nonlocal count\n        count += 1\n        return count\n    return step\nfb = make(4)\nd = {'k': b, 'm': 8}"),
            ('c20', 'b = fb()\ng = L(fb())'),
            ('c21', "class K:\n    tally = 2\n    def __init__(self, v):\n        self.v = v\n    def __repr__(self):\n        return f'K({self.v}, {self.tally})'\n    def add(self, x):\n        self.v += x\n        K.tally += 4\n        return self.v"),
            ('c23', 'c = g'),
            ('c24', 'f = d'),
            ('c25', 'b = [c.v, 1]\nf = 4\nfb = make(g.tally)'),
            ('c26', 'a = K(twice(f))'),
        ),
        steps=(
            ('rerun', 'living'),
            ('lose values', 550),
            ('delete', 'c21'),
            ('rerun', 'living'),
        ),
    ),
    "versions lost of a file that an edited cell reads": Story(
        cells=(
            ('c3', 'from pathlib import Path\ncode = Path(\'x.txt\').write_text(f"{4} 5")'),
            ('c5', 'a = 5'),
            ('c7', "with open('x.txt', 'w') as s:\n    s.write(f'{code + 8} 4\\n')"),
        ),
        steps=(
            ('rerun', 'living'),
            ('lose versions', 723),
            ('set', 'c5', "with open('x.txt') as s:\n    print(s.read()[-30:])"),
            ('rerun', 'new'),
        ),
    ),
    "values lost: of names that were taken away meanwhile": Story(
        cells=(
            ('c1', 'd = 7\ng = d + 7'),
            ('c2', "importuvfits(fitsfile='raw.fits', vis='b.ms')"),
            ('c3', 'f = [8, 1]\nprint(d, g)'),
            ('c5', 'from helper import twice\nc = twice(d)'),
            ('c6', "g = gaincal(vis='b.ms', caltable='a.gcal', solint=f'{1}s')\nd = sorted(f)\nimport numpy as np\nc = np.zeros(5) + twice(c)"),
            ('c7', 'f = c[:]'),
        ),
        steps=(
            ('rerun', 'living'),
            ('lose values', 251),
            ('lose values', 640),
            ('rerun', 'living'),
            ('raw', 'raw.fits', 2),
            ('rerun', 'new'),
        ),
    ),
    "a file that a program made and the cell removed": Story(
        cells=(
            ('c2', 'g = 8\nimport os'),
            ('c3', 'h = [g + 3, 6]'),
            ('c7', 'with open(\'x.txt\', \'w\') as s:\n    s.write(f"{sum(h)} 7\\n")'),
            ('c15', "os.remove('z.txt')"),
            ('c23', "import subprocess\ncode = subprocess.run(['cp', 'x.txt', 'z.txt']).returncode\nif os.path.exists('z.txt'):\n    os.remove('z.txt')"),
        ),
        steps=(
            ('rerun', 'living'),
        ),
    ),
    "values lost: the state of the random numbers": Story(
        cells=(
            ('c2', 'd = [7, 2]\nimport numpy as np\nf = np.zeros(5) + sum(d)'),
            ('c3', 'np.random.seed(2)'),
            ('c4', 'for x in range(1):\n    d.append(x)'),
            ('c5', 'g = [x, 1]'),
            ('c6', 'h = np.zeros(5) + 6'),
        ),
        steps=(
            ('run', 'c2'),
            ('run', 'c3'),
            ('run', 'c4'),
            ('run', 'c5'),
            ('lose values', 730),
            ('rerun', 'living'),
        ),
    ),
    "a directory that a cell goes to": Story(
        cells=(
            ('c4', 'import os'),
            ('c24', "os.makedirs('sub', exist_ok=True)\nos.chdir('sub')"),
        ),
        steps=(
            ('rerun', 'living'),
            ('set', 'c4', 'import os\nb = 4'),
            ('rerun', 'living'),
        ),
    ),
    "options of numpy set to what they were": Story(
        cells=(
            ('c2', 'def fc(x):\n    return x + 0'),
            ('c14', 'print(np.array([1 / 3]))'),
        ),
        steps=(
            ('set', 'c2', 'import numpy as np\nnp.set_printoptions(precision=2)'),
            ('rerun', 'living'),
            ('run', 'c2'),
            ('rerun', 'new'),
        ),
    ),
    "brought without those that it had shared with": Story(
        cells=(
            ('c1', 'fb = lambda x: x * 2 % 97 + 1\ne = [fb(5), 9]'),
            ('c2', 'b = e\nh = fb(fb(0))'),
            ('c4', "c = {'k': h + 2, 'm': 4}"),
            ('c6', 'e.reverse()'),
            ('c7', 'del e'),
            ('c8', 'print(b, c)'),
            ('c9', "c.setdefault('n', len(b))"),
        ),
        steps=(
            ('rerun', 'living'),
            ('restart', 'orderly'),
            ('run', 'c9'),
            ('run', 'c6'),
            ('rerun', 'living'),
        ),
    ),
    "a cell that goes to a directory of its own, run twice": Story(
        cells=(
            ('c1', "import os\nos.makedirs('sub', exist_ok=True)\nos.chdir('sub')"),
            ('c2', "with open('x.txt', 'w') as s:\n    s.write('1')"),
        ),
        steps=(
            ('run', 'c1'),
            ('run', 'c2'),
            ('run', 'c1'),
            ('run', 'c2'),
            ('rerun', 'living'),
        ),
    ),
    "a module that is not found from another directory": Story(
        cells=(
            ('c2', 'c = 1'),
            ('c3', 'import helper'),
        ),
        steps=(
            ('run', 'c3'),
            ('set', 'c2', "import os\nos.makedirs('sub', exist_ok=True)\nos.chdir('sub')"),
            ('rerun', 'living'),
        ),
    ),
    "arrays inside a task's arguments": Story(
        cells=(
            ('c2', 'import numpy as np\nf = np.arange(6)'),
            ('c4', "flux = setjy(vis='b.ms', fluxdensity=[abs(f) % 4 * 1.5, 0.0, 0.0, 0.0])"),
        ),
        steps=(
            ('rerun', 'living'),
        ),
    ),
    # -- in a kernel that lives on
    "a name that a cell which fails was going to bind anew": Story(
        cells=(("c1", "import helper\nh = helper.value + helper.twice(1)"), ("c6", "g += 0\nh = 0")),
        steps=(("rerun", "browser"),),
    ),
    "a console binds a name of the notebook whose value cannot be had any more": Story(
        cells=(("c3", "g = 4"), ("c6", "e = iter([1, 2, 3, 4])")),
        steps=(("rerun", "browser"), ("console", "e = (g,)", True), ("rerun", "browser")),
    ),
    "a cell that looks at all names, and a new one above": Story(
        cells=(
            ("c1", "print(6)"),
            ("c2", "print(sorted((n for n in globals() if n in 'abcdefgh' or n[0] == 'f')))"),
        ),
        steps=(("run", "c2"), ("set", "c1", "d = 0"), ("rerun", "browser")),
    ),
    "a console takes the partner of a cell's name away": Story(
        cells=(("c2", "a = [3, 2]"), ("c3", "import numpy as np"), ("c5", "f = [list(a), a]\nd = [list(a), a]")),
        steps=(("rerun", "browser"), ("console", "f = 8", False), ("to", "c3")),
    ),
    "what a cell made that was undone, after a run to a cell below it": Story(
        cells=(("c2", "importuvfits(fitsfile='raw.fits', vis='a.ms')"), ("c3", "print(0)"), ("c5", "import os")),
        steps=(
            ("rerun", "browser"),
            ("set", "c3", "gaincal(vis='a.ms', caltable='a.gcal', solint=f'{2}s')"),
            ("rerun", "browser"),
            ("undo", 3),
            ("to", "c5"),
            ("rerun", "browser"),
        ),
    ),
    "a console sets an environment variable before anything is run": Story(
        cells=(("c5", "import os"), ("c12", "print(os.environ.get('CASA_ORACLE'))")),
        steps=(("console", "import os\nos.environ['CASA_ORACLE'] = 'c'", False), ("rerun", "browser")),
    ),
    "what a cell has bound since something stirred the kernel is as the cell left it": Story(
        cells=(
            ("c1", "importuvfits(fitsfile='raw.fits', vis='b.ms')"),
            ("c10", "par = 0"),
            ("c11", "h = (x * 0 for x in range(5))"),
            ("c24", "with open('b.ms/DATA', 'a') as s:\n    s.write('by hand 0')"),
            ("c25", "flux = setjy(vis='b.ms', fluxdensity=[par * 1.5, 0.0, 0.0, 0.0])"),
        ),
        steps=(
            ("rerun", "browser"),
            ("set", "c25", "print(sorted((n for n in globals() if n in 'abcdefgh' or n[0] == 'f')))"),
            ("console", "c = h", True),
            ("run", "c24"),
            ("rerun", "browser"),
        ),
    ),
    "a module that was found from where a cell above had imported it": Story(
        cells=(
            ("c4", "import os"),
            ("c7", "from helper import twice"),
            ("c23", "os.makedirs('sub', exist_ok=True)\nos.chdir('sub')"),
            ("c27", "import helper"),
        ),
        steps=(("rerun", "browser"),),
    ),
    "the working directory is gone with the cell that made it": Story(
        cells=(("c1", "g += 9"), ("c2", "with open('x.txt', 'a') as s:\n    s.write(f'{g} 0\\n')")),
        steps=(
            ("set", "c1", "import os\nos.makedirs('sub', exist_ok=True)\nos.chdir('sub')"),
            ("run", "c1"),
            ("set", "c1", "code = Path('z.txt').write_text(f'{9} 3')"),
            ("run", "c1"),
            ("undo", 1),
            ("rerun", "browser"),
        ),
    ),
    "a widget changes how numpy prints, and a cell prints by hand": Story(
        cells=(("c2", "import numpy as np\nprint(np.array([1 / 3]))"),),
        steps=(
            ("console", "import numpy as np\nnp.set_printoptions(precision=3)", True),
            ("run", "c2"),
            ("rerun", "browser"),
        ),
    ),
    "a name that a cell may have bound, and did not, is left over": Story(
        cells=(
            ("c2", "stem = 'b'"),
            ("c5", "a = [8, 7]"),
            ("c6", "import json\nwith open('data.json', 'w') as s:\n    json.dump(a, s)"),
            (
                "c7",
                "try:\n    with open('z.txt') as s:\n        b = s.read(9)\nexcept FileNotFoundError:\n    b = ''",
            ),
        ),
        steps=(
            ("disturbed", 1, "restart"),
            ("set", "c2", "importuvfits(fitsfile='raw.fits', vis=f'{stem}.ms')"),
            ("rerun", "browser"),
        ),
    ),
    "what shares an object with a name that is something else by now": Story(
        cells=(
            ("c4", "h = iter([1, 2, 3, 4])"),
            ("c6", "b = [3, 9]\ng = b"),
            ("c7", "h = [g, [3]]"),
            ("c8", "c = 0\nfor x in b:\n    c += x"),
        ),
        steps=(
            ("rerun", "browser"),
            ("restart", "orderly"),
            ("run", "c4"),
            ("run", "c8"),
            ("rerun", "browser"),
        ),
    ),
    "two classes that say the same": Story(
        cells=(
            ("c1", "f = 2"),
            ("c5", "class L:\n    tally = 5\n\n    def __init__(self, v):\n        self.v = v"),
            ("c14", "g = L(f * 2 % 97)\nclass L:\n    tally = 5\n    def __init__(self, v):\n        self.v = v"),
        ),
        steps=(("rerun", "new"), ("rerun", "new")),
    ),
    "a file that a cell asked for before there was the directory of which it is part": Story(
        cells=(
            ("c3", "import numpy as np\nh = np.zeros(5) + 2"),
            ("c4", "import os\nos.makedirs('out', exist_ok=True)"),
            ("c5", "with open('out/w.txt', 'w') as s:\n    s.write(f'{int(h.sum())} 3\\n')"),
            (
                "c7",
                "with open('out/w.txt', 'r+') as s:\n    s.seek(1)\n    s.write('4')\nb = len(sorted((n for n in os.listdir('.') if n.endswith('.txt'))))",
            ),
        ),
        steps=(("run", "c7"), ("rerun", "browser")),
    ),
    "raw text modified in place below the cell to which it is run": Story(
        cells=(
            ("c1", "from helper import twice"),
            ("c5", "with open('notes.txt', 'r+') as s:\n    s.seek(2)\n    s.write('6')"),
        ),
        steps=(("disturbed", 2, "edit", "delete", "c2"), ("to", "c1")),
    ),
    "what lies in a directory goes with it": Story(
        cells=(
            ('c1', 'g = 3'),
            ('c2', 'import os'),
            ('c11', "os.makedirs('sub', exist_ok=True)\nos.chdir('sub')"),
            ('c12', 'with open(\'z.txt\', \'w\') as s:\n    s.write(f"{g} 3\\n")'),
            ('c15', "with open('z.txt') as s:\n    print(s.read()[-30:])"),
            ('c18', "immoments(imagename='img.image', outfile='mom')"),
        ),
        steps=(
            ('rerun', 'browser'),
            ('set', 'c15', "with open('z.txt') as s:\n    print(s.read()[-50:])"),
            ('rerun', 'browser'),
        ),
    ),
    "a data set in a directory that a cell has made": Story(
        cells=(
            ('c8', "from pathlib import Path\nPath('out').mkdir(exist_ok=True)"),
            ('c4', "import os\nos.environ['CASA_ORACLE'] = '6'"),
        ),
        steps=(
            ('rerun', 'new'),
            ('set', 'c4', "import os\nos.environ['CASA_ORACLE'] = '6'\nimportuvfits(fitsfile='raw.fits', vis='out/b.ms')"),
            ('run', 'c4'),
            ('rerun', 'browser'),
        ),
    ),
    "the directory is no longer made": Story(
        cells=(
            ('c7', "import os\nos.makedirs('out', exist_ok=True)"),
            ('c2', "importuvfits(fitsfile='raw.fits', vis='out/b.ms')"),
        ),
        steps=(
            ('rerun', 'browser'),
            ('set', 'c7', "stem = 'b'"),
            ('rerun', 'browser'),
        ),
    ),
    "tasks and Python code in a directory that a cell has made": Story(
        cells=(
            ('c10', "import os\nos.makedirs('out', exist_ok=True)"),
            ('c8', "importuvfits(fitsfile='raw.fits', vis='out/a.ms')"),
            ('c9', "tclean(vis='out/a.ms', imagename='out/img', niter=0)\nwith open('out/img.image/PIXELS') as s:\n    g = s.read(8)"),
        ),
        steps=(
            ('rerun', 'browser'),
        ),
    ),
    "a task, then a text file in a directory that a cell has made": Story(
        cells=(
            ('c9', "import os\nos.makedirs('out', exist_ok=True)"),
            ('c8', "importuvfits(fitsfile='raw.fits', vis='out/a.ms')\nwith open('out/y.txt', 'w') as s:\n    s.write(f'{5} 2\\n')"),
        ),
        steps=(
            ('rerun', 'browser'),
        ),
    ),
    "a cell asks for something in a directory in which it has made something": Story(
        cells=(
            ('c30', "from pathlib import Path\nPath('out').mkdir(exist_ok=True)"),
            ('c2', 'import os'),
            ('c11', "importuvfits(fitsfile='raw.fits', vis='out/a.ms')"),
            ('c25', "flagdata(vis='out/a.ms', field=str(0))\nprint('out/img.image', os.path.exists('out/img.image'))"),
        ),
        steps=(
            ('rerun', 'new'),
        ),
    ),
    "Shift+Enter in a directory that a cell has made": Story(
        cells=(
            ('c8', "import os\nos.makedirs('out', exist_ok=True)"),
            ('c2', "importuvfits(fitsfile='raw.fits', vis='out/b.ms')"),
            ('c7', "flagdata(vis='out/b.ms', field=str(2))"),
        ),
        steps=(
            ('rerun', 'browser'),
            ('insert', 2, 'c9', "try:\n    with open('out/z.txt') as s:\n        e = s.read(9)\nexcept FileNotFoundError:\n    e = ''"),
            ('run', 'c7'),
            ('rerun', 'browser'),
        ),
    ),
    "a listing of a directory that a cell has made": Story(
        cells=(
            ('c1', "b = {'k': 0, 'm': 7}"),
            ('c7', "from pathlib import Path\nPath('out').mkdir(exist_ok=True)"),
            ('c2', "f = 9\nf += len(b)\ncode = Path('out/x.txt').write_text(f'{f} 5')"),
            ('c4', "importuvfits(fitsfile='raw.fits', vis='out/b.ms')"),
            ('c6', "import os\nc = len(sorted((n for n in os.listdir('out') if n.endswith('.txt'))))"),
        ),
        steps=(
            ('rerun', 'browser'),
            ('set', 'c1', "b |= {'p': b.get('k', 0)}"),
            ('rerun', 'browser'),
        ),
    ),
    "a class bound anew by hand, of which instances are left": Story(
        cells=(
            ('c3', "class K:\n    tally = 8\n\n    def __init__(self, v):\n        self.v = v\n\n    def add(self, x):\n        K.tally += 3\n        return self.v"),
            ('c6', 'c = K(9)'),
            ('c7', 'e = K(3)'),
            ('c10', "class K:\n    tally = 4\n    def __init__(self, v):\n        self.v = v\n    def add(self, x):\n        K.tally += 2\n        return self.v"),
            ('c13', 'def make(count):\n\n    def step():\n        nonlocal count\n        count += 1\n        return count\n    return step\nfc = make(c.v)'),
        ),
        steps=(
            ('rerun', 'browser'),
            ('run', 'c10'),
            ('rerun', 'browser'),
        ),
    ),
    "the ledger lost: what tasks had made is none of what the notebook had found": Story(
        cells=(
            ('c17', "import os\nos.makedirs('out', exist_ok=True)"),
            ('c1', "importuvfits(fitsfile='raw.fits', vis='b.ms')"),
            ('c4', 'par = 1'),
            ('c5', "tclean(vis='b.ms', imagename='map', niter=par)"),
        ),
        steps=(
            ('rerun', 'browser'),
            ('set', 'c5', "with open('b.ms/DATA', 'w') as s:\n    s.write('by hand 7')"),
            ('rerun', 'everything'),
            ('undo', 2),
            ('rerun', 'browser'),
            ('lose ledger',),
            ('disturbed', 1, 'meddle', 'run', 'c2'),
            ('rerun', 'browser'),
        ),
    ),
    "a cell that fails has opened a file to append to it": Story(
        cells=(
            ('c1', 'def fc(x):\n    return x + 3'),
            ('c2', 'with open(\'x.txt\', \'a\') as s:\n    s.write(f"{5} 1\\n")\nwith open(\'x.txt\') as s:\n    f = len(s.read())'),
            ('c5', "with open('x.txt', 'a') as s:\n    s.write(f'{fc(f)} 5\\n')"),
        ),
        steps=(
            ('rerun', 'browser'),
            ('delete', 'c1'),
            ('rerun', 'browser'),
        ),
    ),
    "a cell fails in a directory that is not there": Story(
        cells=(
            ('c1', "import os\nos.makedirs('out', exist_ok=True)"),
            ('c3', 'from pathlib import Path\ncode = Path(\'z.txt\').write_text(f"{1} 6")\nwith open(\'out/w.txt\', \'w\') as s:\n    s.write(f"{code} 6\\n")'),
        ),
        steps=(
            ('rerun', 'browser'),
            ('delete', 'c1'),
            ('rerun', 'browser'),
        ),
    ),
}
