/** What is said about data products, in words. */
import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { roughly } from '../notebook/words';
import { CasaServerError } from '../server/client';
import type { ICandidate, ICollection } from '../server/types';
import type { IVersionRow } from './model';

/** `512 B`, `3.4 MB`, `1.2 TB`: decimal units, as the command line says it. */
export function size(bytes: number): string {
  let count = bytes;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (count < 999.5) {
      return `${count.toFixed(unit === 'B' || count >= 99.5 ? 0 : 1)} ${unit}`;
    }
    count /= 1000;
  }
  return `${count.toFixed(1)} TB`;
}

/** A part in percent: `42 %`, `0.3 %`, `< 0.1 %`. */
export function percent(part: number): string {
  const all = 100 * part;
  if (all === 0 || all >= 9.95) {
    return `${all.toFixed(0)} %`;
  }
  return all < 0.1 ? '< 0.1 %' : `${all.toFixed(1)} %`;
}

/** When something was made: the time only, if it was today. */
export function when(created: string, now = new Date()): string {
  const date = new Date(created);
  const time = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  if (date.toDateString() === now.toDateString()) {
    return time;
  }
  const year = date.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  return `${date.toLocaleDateString([], { day: 'numeric', month: 'short', year })}, ${time}`;
}

/** Who made a version. */
export function maker(version: Pick<IVersionRow, 'task' | 'key'>, trans: TranslationBundle): string {
  if (version.task !== null) {
    return version.task;
  }
  return version.key === null ? trans.__('found here') : trans.__('a call that was forgotten');
}

/** A version in a line, as one chooses among several. */
export function versionLine(version: IVersionRow, trans: TranslationBundle): string {
  const line = trans.__('version %1: %2, %3', version.number, maker(version, trans), when(version.created));
  return version.present ? trans.__('%1 (now)', line) : line;
}

/** What kind of data a product holds, as far as its name and its makers tell: a few letters. */
export function kindOf(path: string, tasks: readonly (string | null)[]): string {
  const extension = PathExt.extname(path).toLowerCase();
  const known = KINDS.find(([, extensions]) => extensions.includes(extension));
  if (known) {
    return known[0];
  }
  return tasks.some(task => task !== null && CALIBRATES.includes(task)) ? 'CAL' : 'DATA';
}

const IMAGES = ['image', 'model', 'residual', 'psf', 'pb', 'mask', 'sumwt', 'weight', 'im', 'alpha', 'pbcor'];
const KINDS: readonly (readonly [string, readonly string[]])[] = [
  ['MS', ['.ms', '.mms']],
  ['IMG', IMAGES.flatMap(name => [`.${name}`, ...['0', '1', '2'].map(term => `.tt${term}`)])],
  ['FITS', ['.fits', '.fit', '.uvfits']],
  ['CAL', ['.cal', '.gcal', '.bcal', '.fcal', '.dcal', '.k', '.b', '.g', '.gain', '.bpass']],
  ['PLOT', ['.png', '.jpg', '.jpeg', '.pdf', '.ps']],
  ['TEXT', ['.txt', '.log', '.list', '.listobs', '.md', '.csv']],
  ['FLAGS', ['.flagversions']]
];
const CALIBRATES = [
  ...['gaincal', 'bandpass', 'gencal', 'fluxscale', 'polcal', 'fringefit', 'blcal', 'smoothcal', 'accor'],
  ...['accum', 'rerefant', 'wvrgcal', 'polfromgain', 'sdcal']
];

/** Why something cannot be told or done. */
export function trouble(error: unknown, trans: TranslationBundle): string {
  if (!(error instanceof CasaServerError)) {
    return error instanceof Error ? error.message : String(error);
  }
  switch (error.trouble) {
    case 'offline':
      return trans.__('The server cannot be reached.');
    case 'missing':
      return trans.__('The server has no JupyterLab-CASA: install it there, or enable its server extension.');
    case 'busy':
      return trans.__('The server has too much to do: try again in a moment.');
    default:
      return sentence(error.message);
  }
}

/** With a capital letter and a full stop. */
export function sentence(text: string): string {
  const said = text.trim();
  return said && `${said.charAt(0).toUpperCase()}${said.slice(1)}${/[.!?]$/.test(said) ? '' : '.'}`;
}

/** `a.image, a.psf and 3 more`. */
export function listed(names: readonly string[], trans: TranslationBundle, most = 2): string {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? trans.__('%1 and %2 more', shown, names.length - most) : shown;
}

/** What letting versions go would do, or has done. */
export interface ICollectionWords {
  /** How much there is, and how much there may be. */
  head: string;
  /** What comes of it. */
  result: string;
  /** What goes, a line each. */
  going: { what: string; price: string }[];
  /** Why the rest stays, and how much of it. */
  staying: string[];
}

/** See {@link ICollectionWords}. */
export function collectionWords(found: ICollection, trans: TranslationBundle): ICollectionWords {
  const going = found.candidates.filter(one => one.keep === '');
  const reasons = new Map<string, number>();
  for (const { keep } of found.candidates.filter(one => one.keep !== '')) {
    reasons.set(keep, (reasons.get(keep) ?? 0) + 1);
  }
  const freed = size(found.freed);
  const results = trans._n('%1 result', '%1 results', going.length);
  let result = found.dry_run
    ? trans.__('%1 would go, and free %2 of disk.', results, freed)
    : trans.__('%1 went, and freed %2 of disk.', results, freed);
  if (!going.length) {
    result = found.orphans
      ? trans._n(
          'Only %1 file goes that nothing refers to.',
          'Only %1 files go that nothing refers to.',
          found.orphans
        )
      : trans.__('Nothing has to go.');
  }
  if (found.excess) {
    result += ` ${trans.__('%1 above the budget remain, because all else is needed.', size(found.excess))}`;
  }
  return {
    head: trans.__('Versions take %1 of disk; they may take %2.', size(found.physical), size(found.goal)),
    result,
    going: going.map(one => ({
      what: `${one.task || trans.__('raw data')}: ${listed(one.paths, trans)}`,
      price: goingPrice(one, trans)
    })),
    staying: Array.from(reasons)
      .sort(([, one], [, other]) => other - one)
      .map(([reason, count]) => trans._n('%1 result stays: %2', '%1 results stay: %2', count, reason))
  };
}

function goingPrice({ frees, seconds, calls }: ICandidate, trans: TranslationBundle): string {
  const again = roughly(seconds);
  return calls > 1
    ? trans.__('frees %1; %2 in %3 calls to compute again', size(frees), again, calls)
    : trans.__('frees %1; %2 to compute again', size(frees), again);
}

/** A number with its unit, to three digits: `1.23e-4 Jy/beam`. */
export function quantity(value: number | null, unit = ''): string {
  if (value === null) {
    return '–';
  }
  const far = value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5);
  const text = far ? value.toExponential(2) : String(Number(value.toPrecision(3)));
  return unit ? `${text} ${unit}` : text;
}
