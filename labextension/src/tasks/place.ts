/** Where a new call goes in the source of a cell. */

/** What is put into a source, and where the cursor goes. */
export interface IPlaced {
  from: number;
  to: number;
  insert: string;
  cursor: number;
}

/**
 * Where a call goes in a source: in place of what is selected; within a line that goes on there; else in a line of its own.
 *
 * @param text - The call.
 * @param cursor - In the call.
 */
export function placed(source: string, from: number, to: number, text: string, cursor: number): IPlaced {
  const start = source.lastIndexOf('\n', from - 1) + 1;
  const end = source.indexOf('\n', to);
  const before = source.slice(start, from);
  const after = source.slice(to, end < 0 ? source.length : end);
  const goesOn = /[=([{,:+*/-]\s*$|\b(return|await|not|in|and|or|if|else)\s+$/.test(before);
  if (from === to && before.trim() && !after.trim() && !goesOn) {
    const line = `\n${/^\s*/.exec(before)?.[0] ?? ''}`;
    const place = from + after.length;
    return { from: place, to: place, insert: line + text, cursor: place + line.length + cursor };
  }
  if (from === to && !before.trim() && after.trim()) {
    return { from, to, insert: `${text}\n${before}`, cursor: from + cursor };
  }
  return { from, to, insert: text, cursor: from + cursor };
}
