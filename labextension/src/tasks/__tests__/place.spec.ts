import { taskAt, taskNamed } from '../at';
import { initialScope } from '../form/source';
import { placed } from '../place';

const put = (source: string) => {
  const from = source.indexOf('|');
  const to = source.lastIndexOf('|') - (source.indexOf('|') === source.lastIndexOf('|') ? 0 : 1);
  const text = source.replaceAll('|', '');
  const { from: start, to: end, insert, cursor } = placed(text, from, to, "f('')", 3);
  const result = text.slice(0, start) + insert + text.slice(end);
  return `${result.slice(0, cursor)}|${result.slice(cursor)}`;
};

it.each([
  ['|', "f('|')"],
  ['x = 1|', "x = 1\nf('|')"],
  ['x = |', "x = f('|')"],
  ['g(1, |)', "g(1, f('|'))"],
  ['if x:\n    y = 2  |\nz', "if x:\n    y = 2  \n    f('|')\nz"],
  ['a\n|b', "a\nf('|')\nb"],
  ['  |b', "  f('|')\n  b"],
  ['flag|data(a)', "flagdata(a)\nf('|')"],
  ['g(\n  a=1,|\n  b=2)\nx', "g(\n  a=1,f('|')\n  b=2)\nx"],
  ['g(\n  a|=1,\n  b=2)\nx', "g(\n  a=1,\n  b=2)\nf('|')\nx"],
  ['if x:\n  g(a|\n  )\nz', "if x:\n  g(a\n  )\n  f('|')\nz"],
  ['x = |old|', "x = f('|')"],
  ['a\n|\nb', "a\nf('|')\nb"]
])('a call goes where one writes: %j', (source, wanted) => {
  expect(put(source)).toBe(wanted);
});

const scope = initialScope(['tclean', 'split'], ['casatasks']);
const catalogue = { scope, has: (name: string) => scope.known.has(name) };

it.each([
  ['tcl|ean', 'tclean'],
  ['casatasks.tcle|an(', 'tclean'],
  ["tclean(vis='a|')", 'tclean'],
  ['tclean(niter|=5)', 'tclean'],
  ['tclean(vis=spl|it())', 'split'],
  ['tclean(vis=other|)', null],
  ['x.spl|it(1)', null],
  ["'a b'.split|()", null],
  ['x = 1|', null],
  ['|', null]
])('the inspector is about %j', (source, task) => {
  expect(taskAt(source.replace('|', ''), source.indexOf('|'), catalogue)).toBe(task);
});

it.each([
  ['x = tcl|ean(vis=1)', 'tclean'],
  ['tclea|n', 'tclean'],
  ['tclean(vi|s=1)', null],
  ['# tcl|ean', null],
  ["print('tcl|ean')", null],
  ['a.spl|it()', null]
])('hovering is about %j', (source, task) => {
  expect(taskNamed(source.replace('|', ''), source.indexOf('|'), catalogue)?.task ?? null).toBe(task);
});
