import { readFileSync } from 'fs';
import { join } from 'path';
import type { TranslationBundle } from '@jupyterlab/translation';
import { reasonText } from '../reasons';
import { trans } from './../../__tests__/trans';

/** Marks what was translated. */
const marking = {
  __: (text: string, ...args: string[]) => `<${trans.__(text, ...args)}>`
} as unknown as TranslationBundle;

it('says what the server says, in English', () => {
  for (const message of [
    'it has never run',
    "`solint` of gaincal was 'inf', is now '60s'",
    'cell 4 will run first and may change the directory `out`; this one may turn out unchanged',
    'the working directory was changed by cell 2',
    '`a.ms` now comes from cell 2, it came from a cell that is no longer there: the order changed',
    "it failed last time (ValueError: it's `(a)`\nb)",
    'it was interrupted last time (KeyboardInterrupt)',
    'something of a later server'
  ]) {
    expect(reasonText(message, trans)).toBe(message);
  }
});

it('translates the parts, too, and leaves names and values alone', () => {
  expect(reasonText('the state of `random` was changed by cell 2', marking)).toBe(
    '<<the state of `random`> was changed by <cell 2>>'
  );
  expect(reasonText('`cell 2 is missing` is missing', marking)).toBe('<`cell 2 is missing` is missing>');
});

/** The sentences in the server's source, with something in each place. */
function sentences(): string[] {
  const root = join(__dirname, '../../../../python/casa_recompute/notebook');
  const found: string[] = [];
  for (const [file, from] of [
    ['plan.py', '# -- in words'],
    ['rerun.py', 'def _needed']
  ] as const) {
    const source = readFileSync(join(root, file), 'utf8');
    const part = source.slice(source.indexOf(from)).split('# -- on a workspace')[0] ?? '';
    for (const [, text] of part.matchAll(/message = f?"([^"\n]*)"|Reason\("[\w-]+", [^,]+, f?"([^"\n]*)"/g)) {
      found.push(text ?? '');
    }
    for (const [, , text] of part.matchAll(/(Reason\("[\w-]+", [^,]+, f?"([^"\n]*)")/g)) {
      found.push(text ?? '');
    }
  }
  return found.filter(Boolean).map(text =>
    text
      .replace(/\{how\}/, '')
      .replace(/\{'failed'[^}]*\}/, 'failed')
      .replace(/\{(above|now_from|came_from|ordinal\([^}]*\))\}/g, 'cell 3')
      .replace(/\{(it|_call_it\(\w+\))\}/g, '`x`')
      .replace(/\{call\.task\}/, 'tclean')
      .replace(/\{[^}]*\}/g, 'z')
  );
}

it('knows all sentences of the server', () => {
  const all = sentences();
  expect(all.length).toBeGreaterThan(20);
  for (const sentence of all) {
    expect(reasonText(sentence, marking)).toMatch(/^<.*>$/);
  }
});
