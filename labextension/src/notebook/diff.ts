/** Which lines of a text are new, gone, or as they were. */

/** A line. */
export interface IDiffLine {
  kind: 'same' | 'gone' | 'new';
  text: string;
}

/** Pairs of lines that are compared at most: beyond, all of the middle counts as replaced. */
const MOST = 4_000_000;

/** The shortest way from one text to another, line by line. */
export function diffLines(before: string, after: string): IDiffLine[] {
  const [old, now] = [before.split('\n'), after.split('\n')];
  let first = 0;
  while (first < old.length && first < now.length && old[first] === now[first]) {
    first += 1;
  }
  let last = 0;
  while (last < Math.min(old.length, now.length) - first && old.at(-1 - last) === now.at(-1 - last)) {
    last += 1;
  }
  const line = (kind: IDiffLine['kind']) => (text: string) => ({ kind, text });
  return [
    ...old.slice(0, first).map(line('same')),
    ...middle(old.slice(first, old.length - last), now.slice(first, now.length - last)),
    ...old.slice(old.length - last).map(line('same'))
  ];
}

/** By the longest common subsequence. */
function middle(old: string[], now: string[]): IDiffLine[] {
  const gone = old.map(text => ({ kind: 'gone' as const, text }));
  const added = now.map(text => ({ kind: 'new' as const, text }));
  if (!old.length || !now.length || old.length * now.length > MOST) {
    return [...gone, ...added];
  }
  const width = now.length + 1;
  const common = new Uint32Array((old.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      common[i * width + j] = old[i] === now[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines: IDiffLine[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    const [was, is] = [gone[i], added[j]];
    if (was && is && was.text === is.text) {
      lines.push({ kind: 'same', text: was.text });
      [i, j] = [i + 1, j + 1];
    } else if (was && (!is || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(was);
      i += 1;
    } else if (is) {
      lines.push(is);
      j += 1;
    }
  }
  return lines;
}
