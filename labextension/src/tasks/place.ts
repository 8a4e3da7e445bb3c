/** Where a new call goes in the source of a cell. */
import { statementAt } from './form/source';

/** What is put into a source, and where the cursor goes. */
export interface IPlaced {
  from: number;
  to: number;
  insert: string;
  cursor: number;
}

/**
 * Where a call goes in a source: in place of what is selected; within a line that goes on there; else in a line of its own,
 * below the statement in which the cursor is.
 *
 * @param text - The call.
 * @param cursor - In the call.
 */
export function placed(source: string, from: number, to: number, text: string, cursor: number): IPlaced {
  const here: IPlaced = { from, to, insert: text, cursor: from + cursor };
  const lineEnd = (at: number) => {
    const end = source.indexOf('\n', at);
    return end < 0 ? source.length : end;
  };
  const start = source.lastIndexOf('\n', from - 1) + 1;
  const before = source.slice(start, from);
  const after = source.slice(to, lineEnd(to));
  const goesOn = /[=([{,:+*/-]\s*$|\b(return|await|not|in|and|or|if|else)\s+$/.test(before);
  const statement = statementAt(source, start + before.trimEnd().length);
  const within = statement !== null && statement.from < from && from < statement.to;
  if (from !== to || !(before + after).trim() || (goesOn && /^\s*([)\]},#]|$)/.test(after))) {
    return here;
  }
  if (!before.trim() && !within) {
    return { ...here, insert: `${text}\n${before}` };
  }
  const first = within || statement ? statement.from : start;
  const indent = /^\s*/.exec(source.slice(source.lastIndexOf('\n', first - 1) + 1, first))?.[0] ?? '';
  const place = lineEnd(within ? statement.to : to);
  return { from: place, to: place, insert: `\n${indent}${text}`, cursor: place + 1 + indent.length + cursor };
}
