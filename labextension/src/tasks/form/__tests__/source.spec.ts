import fc from 'fast-check';
import { pythonOf, requoted, same, type Value } from '../literal';
import {
  apply,
  bind,
  callAt,
  edits,
  type ICall,
  initialScope,
  isExpression,
  readLiteral,
  readSource,
  removable
} from '../source';

const PARAMETERS = ['vis', 'imagename', 'niter', 'field', 'weighting', 'robust', 'interactive', 'gain'];
const ALL = new Set(PARAMETERS);
const scope = initialScope(['tclean', 'split', 'flagdata'], ['casatasks', 'casaplotms']);

const calls = (source: string) => readSource(source, scope).calls;
const only = (source: string): ICall => {
  const found = calls(source);
  expect(found).toHaveLength(1);
  return found[0] as ICall;
};
const values = (source: string, call: ICall) => {
  const { given } = bind(call, PARAMETERS, ALL);
  return Object.fromEntries(
    Array.from(given, ([name, { read, value }]) => [
      name,
      read ? read.value : { source: source.slice(value.from, value.to) }
    ])
  );
};
const write = (source: string, changes: Record<string, string | null>) => {
  const call = only(source);
  return apply(source, edits(source, call, bind(call, PARAMETERS, ALL), new Map(Object.entries(changes))));
};

describe('finding calls', () => {
  const tasks = (source: string) => calls(source).map(call => call.task);

  it('finds them under all the names that a task can have', () => {
    expect(tasks('tclean()')).toEqual(['tclean']);
    expect(tasks('casatasks.tclean()')).toEqual(['tclean']);
    expect(tasks('import casatasks as ct, os\nct.tclean(); os.split()')).toEqual(['tclean']);
    expect(tasks('from casatasks import (tclean as clean,\n split)\nclean(); split()')).toEqual([
      'tclean',
      'split'
    ]);
    expect(tasks('a = b = tclean\nb(); a()')).toEqual(['tclean', 'tclean']);
    expect(tasks('ct = casatasks\nc = ct.tclean\nc()')).toEqual(['tclean']);
  });

  it('leaves alone what only looks like a task', () => {
    expect(tasks("'a b'.split()\nos.path.split()\nx.tclean()\n# tclean()\n'tclean()'")).toEqual([]);
    expect(tasks('def split(x): return x\nsplit(1)')).toEqual([]);
    expect(tasks('split, b = 1, 2\nsplit()')).toEqual([]);
    expect(tasks('for split in x: split()')).toEqual(['split']); // bound when the loop is over, at the latest
    expect(tasks('from os.path import split\nsplit()')).toEqual([]);
    expect(tasks('from os.path import split\nfrom casatasks import *\nsplit()')).toEqual(['split']);
    expect(tasks('def f():\n  split = 1\nsplit()')).toEqual(['split']);
  });

  it('keeps what names stand for from cell to cell', () => {
    const after = readSource('import casatasks as ct\nsplit = 3', scope).scope;
    expect(readSource('ct.tclean()\nsplit()', after).calls.map(call => call.task)).toEqual(['tclean']);
  });

  it('finds nested ones, several in a cell, and those in functions', () => {
    expect(tasks('x = [tclean(vis=split(vis="a")) for i in y]\ndef f():\n  flagdata()')).toEqual([
      'tclean',
      'split',
      'flagdata'
    ]);
  });

  it('reads cells with what IPython adds to Python', () => {
    expect(values('%time tclean(niter=5)', only('%time tclean(niter=5)'))).toEqual({ niter: 5 });
    expect(tasks('%%time\ntclean()\n!ls -l *\nx = !ls\nsplit?\n%matplotlib inline\nsplit()')).toEqual([
      'tclean',
      'split'
    ]);
    expect(tasks('%%bash\ntclean()')).toEqual([]);
  });

  it('says what is not sound', () => {
    expect(only("tclean(vis='a', niter=").sound).toBe(false);
    expect(only("tclean(vis='a' niter=3)").sound).toBe(false);
    expect(only('tclean(x for x in y)').sound).toBe(false);
    expect(only("oops = = 3\ntclean(vis='a')").sound).toBe(true);
  });

  it('tells which one is under the cursor', () => {
    const source = "x = 1\ntclean(vis=split())  # one\nflagdata(\n  vis='b',\n)\n";
    const all = calls(source);
    const at = (offset: number) => callAt(all, source, offset)?.task;
    expect(at(source.indexOf('vis=split'))).toBe('tclean');
    expect(at(source.indexOf('()'))).toBe('split');
    expect(at(source.indexOf('one'))).toBe('split'); // the last before it
    expect(at(source.indexOf("'b'"))).toBe('flagdata');
    expect(at(0)).toBeUndefined();
    expect(callAt(calls('\n\ntclean()'), '\n\ntclean()', 0)?.task).toBe('tclean');
    expect(callAt([], '', 0)).toBeNull();
  });
});

describe('reading arguments', () => {
  it('reads literals, and keeps the rest as expressions', () => {
    const source = `tclean('a' "b", *more, niter=-1_000, field=r'\\d', robust=1e-3, gain=g / 2,  # c
  weighting=f'{w}', interactive = (True), **kw)`;
    const call = only(source);
    expect(values(source, call)).toEqual({
      vis: 'ab',
      niter: -1000,
      field: '\\d',
      robust: 0.001,
      gain: { source: 'g / 2' },
      weighting: { source: "f'{w}'" },
      interactive: true
    });
    expect(bind(call, PARAMETERS, ALL).spread).toBe(true);
  });

  it('says which arguments fit no parameter', () => {
    const call = only("tclean('a', vis='b', nothing=1, *x)");
    const bound = bind(call, PARAMETERS, ALL);
    expect(Array.from(bound.given.keys())).toEqual(['vis']);
    expect(bound.misfits.map(({ keyword }) => keyword)).toEqual(['vis', 'nothing']);
  });

  const read: [string, Value][] = [
    ["'a\\n\\x41\\u00e9\\U0001f600\\101\\q'", 'a\nAé😀A\\q'],
    ['"""a\n"b"\\\n c"""', 'a\n"b" c'],
    ["u'x'", 'x'],
    ['0x1F', 31],
    ['.5', 0.5],
    ['1.', 1],
    ['None', null],
    ['[1, (2,), {"a": [None]}, ()]', [1, [2], { a: [null] }, []]],
    ['((  1  # one\n))', 1]
  ];
  it.each(read)('reads %s', (text, value) => {
    expect(readLiteral(text)).toEqual({ value });
  });

  it.each([
    "b'x'",
    "f'x'",
    '1j',
    '1e999',
    '12345678901234567890',
    '{1: 2}',
    '{1}',
    'x',
    "'\\N{DIGIT ONE}'",
    '-x'
  ])('leaves %s to Python', text => {
    expect(isExpression(text)).toBe(true);
    expect(readLiteral(text)).toBeNull();
  });

  it.each([
    '',
    ' ',
    '1, 2',
    '1)',
    "'a",
    'a b',
    '1 # c',
    '5) + f(6',
    'x for x in y',
    '*x',
    'a=1',
    '[1',
    '1\nx = 2'
  ])('takes %s for no expression', text => {
    expect(isExpression(text)).toBe(false);
  });
});

describe('writing back', () => {
  it('changes only what changed', () => {
    const source = `# imaging
r = ct.x + tclean( vis = "a.ms",   # the data
    niter=100 ,
    field = f'{x}', **kw )  # done
`;
    expect(apply(source, [])).toBe(source);
    expect(write(source, { niter: '500' })).toBe(source.replace('100', '500'));
    expect(write(source, { vis: "'b.ms'", niter: '5' })).toBe(
      source.replace('"a.ms"', "'b.ms'").replace('100', '5')
    );
  });

  it.each([
    ['tclean()', "tclean(vis='x', niter=5)"],
    ['tclean(\n)', "tclean(vis='x', niter=5\n)"],
    ["tclean(field='1')", "tclean(field='1', vis='x', niter=5)"],
    ["tclean(field='1',)", "tclean(field='1', vis='x', niter=5,)"],
    ["tclean(field='1',gain=2)", "tclean(field='1',gain=2,vis='x',niter=5)"],
    ['tclean(**kw)', "tclean(**kw, vis='x', niter=5)"],
    ["tclean(field = '1')", "tclean(field = '1', vis = 'x', niter = 5)"],
    ["tclean(field='1'  # c\n)", "tclean(field='1', vis='x', niter=5  # c\n)"],
    [
      "tclean(\n    field='1',\n    gain=2,  # c\n)",
      "tclean(\n    field='1',\n    gain=2,  # c\n    vis='x',\n    niter=5,\n)"
    ],
    [
      "tclean(\n    field='1',\n    gain=2  # c\n)",
      "tclean(\n    field='1',\n    gain=2,  # c\n    vis='x',\n    niter=5\n)"
    ],
    [
      "tclean(field='1',\n       gain=2)",
      "tclean(field='1',\n       gain=2,\n       vis='x',\n       niter=5)"
    ],
    [
      "tclean(\n  field     = '1',\n  imagename = '2'\n)",
      "tclean(\n  field     = '1',\n  imagename = '2',\n  vis       = 'x',\n  niter     = 5\n)"
    ]
  ])('adds to %j as the others are written', (source, wanted) => {
    expect(write(source, { vis: "'x'", niter: '5' })).toBe(wanted);
  });

  it.each([
    ['tclean(niter=5)', 'tclean()'],
    ["tclean(vis='a', niter=5)", "tclean(vis='a')"],
    ["tclean(niter=5, vis='a')", "tclean(vis='a')"],
    ["tclean(vis='a', niter=5, gain=1)", "tclean(vis='a', gain=1)"],
    ["tclean(vis='a', niter=5,)", "tclean(vis='a',)"],
    ["tclean(vis='a', niter=5,\n  gain=1)", "tclean(vis='a',\n  gain=1)"],
    ["tclean(\n  vis='a',\n  niter=5,\n  gain=1\n)", "tclean(\n  vis='a',\n  gain=1\n)"],
    ["tclean(\n  vis='a',  # a\n  niter=5  # b\n)", "tclean(\n  vis='a'  # a\n  # b\n)"],
    ["tclean(\n  vis='a',\n  niter=5\n)", "tclean(\n  vis='a'\n)"],
    ["tclean(\n  niter=5,  # b\n  vis='a')", "tclean(\n  # b\n  vis='a')"],
    ["tclean(vis='a',\n       niter=5)", "tclean(vis='a')"]
  ])('takes out of %j', (source, wanted) => {
    expect(write(source, { niter: null })).toBe(wanted);
  });

  it('knows which arguments cannot be taken out', () => {
    const call = only("tclean('a', 'b', niter=1, **kw)");
    expect(call.arguments.map(argument => removable(call, argument))).toEqual([false, true, true, true]);
  });

  // -- laws

  const text = fc.string({ unit: fc.constantFrom(...Array.from('ab"\'\\ \n\t{}#é😀\u0007')) });
  const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>(tie => ({
    value: fc.oneof(
      { maxDepth: 2 },
      text,
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        text.filter(key => key !== '__proto__'),
        tie('value'),
        { maxKeys: 2 }
      )
    )
  })).value;

  it('reads what it has written', () => {
    fc.assert(
      fc.property(value, fc.constantFrom("'", '"'), fc.boolean(), (given, quote, real) => {
        const source = pythonOf(given, { quote, real });
        expect(isExpression(source)).toBe(true);
        expect(same(readLiteral(source)?.value ?? null, given)).toBe(true);
      })
    );
  });

  it('keeps quotes and prefix of a text where it can', () => {
    expect(requoted('b', '"a"', "'")).toBe('"b"');
    expect(requoted('\\w', "r'\\d'", '"')).toBe("r'\\w'");
    expect(requoted('a\nb', '"""x"""', "'")).toBe('"""a\nb"""');
    expect(requoted('a"b', '"x"', "'")).toBe("'a\"b'");
    expect(requoted('x', 'name', '"')).toBe('"x"');
    const former = fc.constantFrom("'a'", '"a"', "r'a'", '"""a"""', "'''a'''", 'R"a"', 'name', "'a' 'b'");
    fc.assert(
      fc.property(text, former, (given, source) => {
        expect(readLiteral(requoted(given, source, "'"))).toEqual({ value: given });
      })
    );
  });

  /** A call written in one of the ways that people write calls. */
  const blank = fc.constantFrom('', ' ', '  ');
  const breakable = fc.constantFrom('', ' ', '\n    ', '  # why, = (this)\n  ', '\n  # about\n  ');
  const expression = fc.oneof(
    fc.constantFrom(
      'x',
      '1.',
      'f(a, b=1)',
      "d['k']",
      'lambda a, b: 1',
      "[i for i in 'ab']",
      '(1,  # c\n 2)',
      "f'{a}'"
    ),
    value.map(given => pythonOf(given))
  );
  const written = fc
    .record({
      names: fc.shuffledSubarray(PARAMETERS),
      positional: fc.nat(3),
      sources: fc.array(expression, { minLength: 8, maxLength: 8 }),
      blanks: fc.array(fc.tuple(blank, blank, breakable, breakable), { minLength: 8, maxLength: 8 }),
      trailing: fc.boolean(),
      spread: fc.boolean(),
      end: breakable,
      before: fc.constantFrom('', 'y = 1\n', 'if x:\n    ', '%time ', '!ls\nz = '),
      after: fc.constantFrom('', '\n', '  # done', '.get(1)\nflag = 3 # é😀\n', '\nx = 3\n')
    })
    .map(({ names, positional, sources, blanks, trailing, spread, end, before, after }) => {
      const first = Math.min(positional, names.length);
      const order = [
        ...PARAMETERS.slice(0, first),
        ...names.filter(name => PARAMETERS.indexOf(name) >= first)
      ];
      const parts = order.map((name, index) => {
        const [one, two, three, four] = blanks[index] as [string, string, string, string];
        const given = sources[index] as string;
        return three + (index < first ? given : `${name}${one}=${two}${given}`) + four;
      });
      const all = spread ? [...parts, '**kw'] : parts;
      const comma = trailing && all.length ? ',' : '';
      return { source: `${before}tclean(${all.join(',')}${comma}${end})${after}`, before, after, order };
    });
  const change = fc.dictionary(fc.constantFrom(...PARAMETERS), fc.option(expression));
  const comments = (source: string) => source.match(/# (why, = \(this\)|about|c|done)/g) ?? [];

  it('gives the changed arguments their values and leaves everything else', () => {
    fc.assert(
      fc.property(written, change, ({ source, before, after }, wanted) => {
        const call = only(source);
        expect(call.sound).toBe(true);
        const bound = bind(call, PARAMETERS, ALL);
        const changes = new Map(
          Object.entries(wanted).filter(([name, to]) => {
            const argument = bound.given.get(name);
            return to !== null || !argument || argument.keyword !== null;
          })
        );
        const result = apply(source, edits(source, call, bound, changes));

        // What is around the call is as it was, and so are all arguments that nobody changed.
        expect(result.startsWith(`${before}tclean(`)).toBe(true);
        expect(result.endsWith(`)${after}`)).toBe(true);
        const again = only(result);
        expect(again.sound).toBe(true);
        const rebound = bind(again, PARAMETERS, ALL);
        const sourceOf = (of: typeof bound, within: string) =>
          new Map(Array.from(of.given, ([name, { value: at }]) => [name, within.slice(at.from, at.to)]));
        const expected = sourceOf(bound, source);
        for (const [name, to] of changes) {
          if (to === null) {
            expected.delete(name);
          } else {
            expected.set(name, to);
          }
        }
        const found = sourceOf(rebound, result);
        expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
        expect(Array.from(found.keys()).slice(0, bound.given.size)).toEqual(
          Array.from(expected.keys()).slice(0, bound.given.size)
        );
        expect(rebound.misfits).toEqual([]);
        expect(rebound.spread).toBe(bound.spread);

        // No comment is lost but those within a value that was replaced or taken out.
        const lost = Array.from(changes.keys()).flatMap(name => {
          const argument = bound.given.get(name);
          return argument ? comments(source.slice(argument.from, argument.to)) : [];
        });
        const gained = Array.from(changes.values()).flatMap(to => comments(to ?? ''));
        expect(comments(result).sort()).toEqual(
          [...comments(source), ...gained]
            .filter(one => {
              const at = lost.indexOf(one);
              lost.splice(at, at < 0 ? 0 : 1);
              return at < 0;
            })
            .sort()
        );
      }),
      { numRuns: 300 }
    );
  });

  it('changes nothing else when a value is replaced', () => {
    fc.assert(
      fc.property(written, fc.nat(), expression, ({ source, order }, pick, to) => {
        const call = only(source);
        const bound = bind(call, PARAMETERS, ALL);
        const name = order[pick % Math.max(order.length, 1)];
        const argument = name && bound.given.get(name);
        fc.pre(Boolean(argument));
        const { from, to: end } = (argument as { value: { from: number; to: number } }).value;
        const result = apply(source, edits(source, call, bound, new Map([[name as string, to]])));
        expect(result).toBe(source.slice(0, from) + to + source.slice(end));
      })
    );
  });
});
