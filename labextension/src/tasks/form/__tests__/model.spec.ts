import fc from 'fast-check';
import type { IMeasurementSet } from '../../../server/types';
import { parameter, TASK } from '../../__tests__/fixtures';
import {
  CallForm,
  checkValue,
  essential,
  isShown,
  newCall,
  offersOf,
  picks,
  selected,
  toggled,
  widgetOf
} from '../model';
import { apply, initialScope, readLiteral, readSource } from '../source';

const scope = initialScope(['image'], ['casatasks']);
const formOf = (source: string, before = ''): CallForm => {
  const outer = readSource(before, scope).scope;
  const { calls, scope: now } = readSource(source, outer);
  const [call] = calls;
  if (!call) {
    throw new Error('no call');
  }
  return new CallForm(TASK, source, call, now.values);
};
const shown = (source: string, before?: string) =>
  formOf(source, before)
    .fields.filter(isShown)
    .map(({ parameter: { name }, depth }) => '-'.repeat(depth) + name);
const kinds = (source: string, name: string) => {
  const field = formOf(source).field(name);
  return field && widgetOf(field);
};

describe('what is shown', () => {
  const plain = ['vis', 'field', 'outname', 'mode', 'niter', 'gain', 'cell', 'interactive', 'extra'];

  it('are the parameters that apply', () => {
    expect(shown('image()')).toEqual(plain);
    expect(shown("image(mode='b')")).toEqual([...plain.slice(0, 4), '-wide', ...plain.slice(4)]);
  });

  it('are sub-parameters of sub-parameters, too', () => {
    expect(shown("image(mode='b', wide='y')")).toContain('--deep');
    expect(shown("image(mode='a', wide='y')")).not.toContain('--deep');
  });

  it('is what somebody has given, although it has no effect', () => {
    expect(shown("image('v', wide='y', secret=3)")).toEqual(expect.arrayContaining(['-wide', 'secret']));
    expect(formOf("image(wide='y')").field('wide')?.applies).toBe(false);
  });

  it('may be more when only Python can tell', () => {
    expect(shown('image(mode=which())')).toContain('-wide');
    expect(shown('image(mode=m)', "m = 'a'")).not.toContain('-wide');
    expect(shown('image(mode=m)', "m = 'b'")).toContain('-wide');
  });
});

describe('fields', () => {
  it('fit their values', () => {
    expect(kinds('image()', 'vis')).toBe('text');
    expect(kinds('image()', 'mode')).toBe('choice');
    expect(kinds('image()', 'interactive')).toBe('bool');
    expect(kinds('image()', 'gain')).toBe('number');
    expect(kinds('image()', 'cell')).toBe('python');
    expect(kinds("image(cell='1arcsec')", 'cell')).toBe('text');
    expect(kinds('image(niter=n + 1)', 'niter')).toBe('python');
    expect(kinds('image(interactive=yes)', 'interactive')).toBe('python');
  });

  it('say what is wrong', () => {
    const problem = (source: string, name: string) => formOf(source).field(name)?.problem?.kind ?? null;
    expect(problem("image(niter='5')", 'niter')).toBe('type');
    expect(problem('image(niter=5.0)', 'niter')).toBe('type');
    expect(problem('image(niter=0x1e)', 'niter')).toBeNull();
    expect(problem('image(gain=1)', 'gain')).toBeNull();
    expect(problem("image(mode='d')", 'mode')).toBe('allowed');
    expect(problem("image(cell=['1', 2])", 'cell')).toBe('type');
    expect(problem("image(vis=['a', 'b'])", 'vis')).toBeNull();
    expect(problem('image(vis=None)', 'vis')).toBe('type');
    expect(problem('image(extra={"a": 1})', 'extra')).toBeNull();
    expect(problem('image(niter=n)', 'niter')).toBeNull();
  });

  it('take a single value for a list, where nothing else is possible', () => {
    expect(checkValue(parameter('a', 'doubleVec'), 3, '3')).toBeNull();
    expect(checkValue(parameter('a', 'string|stringVec'), 3, '3')).not.toBeNull();
    expect(checkValue(parameter('a', 'intVec'), [1, 2], '[1, 2]')).toBeNull();
    expect(checkValue(parameter('a', 'int', { default: 'auto' }), 'auto', "'auto'")).toBeNull();
  });
});

describe('writing', () => {
  const write = (source: string, name: string, text: string | null) =>
    apply(source, formOf(source).edits(name, text));

  it('touches only what changed', () => {
    const source = 'image( vis = "a.ms",\n  niter=100)  # go';
    expect(write(source, 'niter', '5')).toBe('image( vis = "a.ms",\n  niter=5)  # go');
    expect(write(source, 'niter', '100')).toBe(source);
    expect(write(source, 'vis', "'a.ms'")).toBe(source); // the same in other quotes
    expect(write(source, 'gain', '0.2')).toBe('image( vis = "a.ms",\n  niter=100,\n  gain=0.2)  # go');
    expect(write(source, 'gain', '0.1')).toContain('gain=0.1'); // said, although it is the default
    expect(write(source, 'nothing', '1')).toBe(source);
    expect(write(source, 'vis', null)).toBe('image(\n  niter=100)  # go');
  });

  it('writes a value in place of a name that has it', () => {
    const form = formOf('image(vis=ms)', "ms = 'a.ms'");
    expect(apply(form.source, form.edits('vis', "'a.ms'"))).toBe("image(vis='a.ms')");
  });

  it('gives what stands in the middle its default, when it cannot go', () => {
    expect(write("image('a', '1', 'out')", 'field', null)).toBe("image('a', '', 'out')");
    expect(write("image('a', '1')", 'field', null)).toBe("image('a')");
  });

  it('writes texts in the quotes that are there', () => {
    expect(formOf('image(vis="a")').asText('vis', 'b')).toBe('"b"');
    expect(formOf('image(vis="a")').asText('field', "3C'286")).toBe('"3C\'286"');
    expect(formOf("image(vis=r'a')").asText('vis', 'b\\c')).toBe("r'b\\c'");
    expect(formOf('image()').asText('vis', 'b')).toBe("'b'");
  });

  it('leaves alone what is no Python', () => {
    expect(write("image(vis='a' niter=3)", 'niter', '4')).toBe("image(vis='a' niter=3)");
  });

  it('reads what it has written', () => {
    const source = "image('a.ms', mode='b',\n   # why\n   gain=.5)";
    const anything = fc.oneof(fc.string(), fc.integer(), fc.boolean());
    fc.assert(
      fc.property(fc.constantFrom(...TASK.parameters.map(({ name }) => name)), anything, (name, value) => {
        const text = formOf(source).asText(name, String(value));
        const result = write(source, name, text);
        expect(formOf(result).field(name)?.read).toEqual(readLiteral(text));
        expect(result).toContain('# why');
      })
    );
  });
});

it('knows the MeasurementSet', () => {
  expect(formOf("image(vis='a.ms')").measurementSet).toBe('a.ms');
  expect(formOf("image(['b.ms', 'a.ms'])").measurementSet).toBe('b.ms');
  expect(formOf('image(vis=ms)', "ms = 'c.ms'").measurementSet).toBe('c.ms');
  expect(formOf('image(vis=name())').measurementSet).toBeNull();
  expect(formOf('image()').measurementSet).toBeNull();
});

it('says which arguments fit nothing', () => {
  const form = formOf('image(nothing=1, **kw)');
  expect([form.misfits, form.spread]).toEqual([['nothing=1'], true]);
});

describe('what a MeasurementSet offers', () => {
  const ms: IMeasurementSet = {
    schema: 1,
    exists: true,
    rows: 9,
    fields: [
      { id: 0, name: '3C286' },
      { id: 1, name: '42' },
      { id: 2, name: 'a, "b"' }
    ],
    spws: [{ id: 0, name: 'L', channels: 63, frequency: 1.413e9, bandwidth: 1e6 }],
    antennas: [{ id: 0, name: 'ea01', station: 'N7' }],
    intents: ['TARGET'],
    correlations: ['RR', 'LL'],
    scans: null
  };

  it('are names, or numbers where a name would be taken for something else', () => {
    expect(offersOf('field', ms).map(({ value }) => value)).toEqual(['3C286', '1', '2']);
    expect(offersOf('spw', ms)).toEqual([{ value: '0', label: '0: L, 63 × 1.4130 GHz' }]);
    expect(offersOf('refant', ms)[0]).toEqual({ value: 'ea01', label: 'ea01 (N7)' });
    expect(offersOf('scan', ms)).toEqual([]);
    expect(offersOf('niter', ms)).toEqual([]);
    const scans = [{ number: 3, fields: [0, 9], begin: '2026/11/22/10:00:00', end: '2026/11/22/10:05:00' }];
    expect(offersOf('scan', { ...ms, scans })[0]?.label).toBe('3: 3C286, 9, 2026/11/22/10:00:00');
    expect(offersOf('timerange', { ...ms, scans })[0]?.value).toBe('2026/11/22/10:00:00~2026/11/22/10:05:00');
  });

  it('are put together with commas', () => {
    const offer = (value: string, other?: string) => ({ value, label: '', other });
    expect(toggled('', offer('a'))).toBe('a');
    expect(toggled('a, b', offer('c'))).toBe('a,b,c');
    expect(toggled('a,b', offer('a'))).toBe('b');
    expect(toggled('0,1', offer('3C286', '0'))).toBe('1');
    expect(selected('0:5~60, "x,y",3')).toEqual(['0:5~60', '"x,y"', '3']);
  });
});

it('begins a new call with what names data', () => {
  expect(essential(TASK)).toEqual(['vis', 'outname']);
  expect(newCall(TASK)).toEqual({ text: "image(vis='', outname='')", cursor: 11 });
  expect(newCall({ ...TASK, parameters: [] })).toEqual({ text: 'image()', cursor: 6 });
  const of = (name: string) => TASK.parameters.find(one => one.name === name) ?? parameter('', '');
  expect(['vis', 'outname', 'field', 'niter'].map(name => picks(of(name), TASK))).toEqual([
    'directory',
    'directory',
    null,
    null
  ]);
});
