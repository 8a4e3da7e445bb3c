/** Which task a place in a source is about. */
import { initialScope, readSource } from './form/source';
import type { Catalogue } from './model';

/** The task whose name is at a place in a source, or in whose call's parentheses this is, other calls apart. */
export function taskAt(
  source: string,
  offset: number,
  catalogue: Pick<Catalogue, 'has' | 'scope'>
): string | null {
  const word = wordAt(source, offset);
  if (
    word &&
    catalogue.has(word.text) &&
    !/[\w)\]'"]\s*\.\s*$/.test(withoutPackage(source.slice(0, word.from), catalogue))
  ) {
    return word.text;
  }
  const inside = readSource(source, catalogue.scope).calls.filter(
    ({ list }) => list.from < offset && offset < list.to
  );
  const call = inside.at(-1);
  const literal = call?.arguments.some(
    ({ read, value }) => read && value.from <= offset && offset <= value.to
  );
  // Of a name that is not a task's, Python's own help is wanted.
  return word && !literal && !isArgument(source, word.from) ? null : (call?.task ?? null);
}

/** The name at a place. */
export function wordAt(source: string, offset: number): { text: string; from: number; to: number } | null {
  const before = /\w*$/.exec(source.slice(0, offset))?.[0] ?? '';
  const after = /^\w*/.exec(source.slice(offset))?.[0] ?? '';
  const text = before + after;
  return /^[A-Za-z_]/.test(text) ? { text, from: offset - before.length, to: offset + after.length } : null;
}

function withoutPackage(before: string, { scope }: Pick<Catalogue, 'scope'>): string {
  const [, name] = /(?<![\w.])(\w+)\s*\.\s*$/.exec(before) ?? [];
  return name && scope.packages.has(name) ? '' : before;
}

/** Whether a name is that of a parameter: `name=`. */
function isArgument(source: string, from: number): boolean {
  return /[(,]\s*(#[^\n]*\s*)*$/.test(source.slice(0, from)) && /^\w+\s*=(?!=)/.test(source.slice(from));
}

/** The task for which the name at a place stands, in a text or comment none. */
export function taskNamed(
  source: string,
  offset: number,
  catalogue: Pick<Catalogue, 'has' | 'scope'>
): { task: string; from: number; to: number } | null {
  const word = wordAt(source, offset);
  if (!word) {
    return null;
  }
  // The name stands for a task if a call of it at this place would be one.
  const own = initialScope(catalogue.scope.known, catalogue.scope.packages);
  const call = readSource(source, own).calls.find(
    ({ from, list }) =>
      from <= word.from && word.to <= list.from && source.slice(word.to, list.from).trim() === ''
  );
  const loose = source[word.from - 1] !== '.' && catalogue.has(word.text) && !inText(source, word.from);
  const task = call?.task ?? (loose ? word.text : null);
  return task === null ? null : { task, from: word.from, to: word.to };
}

/** Whether a place may be in a comment or a text. */
function inText(source: string, from: number): boolean {
  const line = source.slice(source.lastIndexOf('\n', from - 1) + 1, from);
  return /#|'|"/.test(line);
}
