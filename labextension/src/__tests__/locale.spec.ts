import { execFileSync } from 'child_process';
import { readFileSync } from 'fs';
import { join } from 'path';
import { TranslationManager } from '@jupyterlab/translation';
import { version } from '../../../package.json';

interface IStrings {
  texts: Record<string, string | null>;
  mistakes: string[];
  catalogues: Record<string, string>;
}
const script = join(__dirname, '../../../scripts/strings.js');
const { texts, mistakes, catalogues } = JSON.parse(
  execFileSync(process.execPath, [script], { encoding: 'utf8' })
) as IStrings;

const placeholders = (text: string) => [...new Set(text.match(/%\d/g))].sort();

it('finds what people read', () => {
  expect(texts).toMatchObject({
    'Re-run stale: %1': null,
    '%1 cell': '%1 cells',
    'settings\u0004Show marks': null
  });
});

it('all that people read can be translated', () => {
  expect(mistakes).toEqual([]);
});

it('there is a German catalogue', () => {
  expect(Object.keys(catalogues)).toContain('de_DE');
});

// What is missing or said by nobody any more: `node scripts/strings.js --update`, then translate what is empty.
describe.each(Object.entries(catalogues))('the catalogue %s', (language, file) => {
  const { '': head, ...entries } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string[]> & {
    '': { language: string; plural_forms: string; version: string; domain: string };
  };
  const forms = Number(/^nplurals=(\d); plural=/.exec(head.plural_forms)?.[1]);

  it('is that of this version', () => {
    expect(head).toMatchObject({ language: language.replace('_', '-'), version, domain: 'jupyterlab_casa' });
  });

  it('is one that JupyterLab reads', async () => {
    const data = { jupyterlab_casa: { '': head, ...entries } };
    const manager = new TranslationManager('', undefined, undefined, {
      fetch: () => Promise.resolve({ data, message: '' })
    } as unknown as ConstructorParameters<typeof TranslationManager>[3]);
    await manager.fetch(language);
    const trans = manager.load('jupyterlab_casa');
    expect(trans.__('Group')).toBe(entries['Group']?.[0]);
    expect([1, 2].map(n => trans._n('%1 cell', '%1 cells', n))).toEqual(
      entries['%1 cell']?.map((text, n) => text.replace('%1', String(n + 1)))
    );
  });

  it('has all texts, and no others', () => {
    expect(Object.keys(entries).sort()).toEqual(Object.keys(texts).sort());
  });

  it('translates each, with what is put into it', () => {
    for (const [key, translated] of Object.entries(entries)) {
      const plural = texts[key] ?? null;
      expect([key, translated.length]).toEqual([key, plural === null ? 1 : forms]);
      const given = placeholders(`${key} ${plural ?? ''}`);
      translated.forEach((text, n) => {
        expect([key, text]).not.toEqual([key, '']);
        expect([key, /^\s*/.exec(text)?.[0]]).toEqual([
          key,
          /^\s*/.exec(key.split('\u0004').at(-1) ?? '')?.[0]
        ]);
        // the singular may say "once"
        if (plural === null || n > 0) {
          expect([key, placeholders(text)]).toEqual([key, given]);
        }
      });
    }
  });
});
