/**
 * Reasons in the reader's language. The server says them in English, as sentences with names and values in them; here
 * their forms are known, and what is not is shown as it came.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

type Form = readonly [RegExp, (...parts: string[]) => string];

/** A reason, translated. */
export function reasonText(message: string, trans: TranslationBundle): string {
  return said(message, forms(trans)) ?? message;
}

function said(text: string, known: readonly Form[]): string | null {
  for (const [pattern, say] of known) {
    const [whole, ...parts] = pattern.exec(text) ?? [];
    if (whole !== undefined) {
      return say(...parts);
    }
  }
  return null;
}

/** The forms of sentences; see `notebook/plan.py` of the server. */
function forms(trans: TranslationBundle): readonly Form[] {
  const it = (thing: string) => said(thing, things(trans)) ?? thing;
  const cell = (name: string) => {
    const number = /^cell (\d+)$/.exec(name)?.[1];
    return number === undefined ? trans.__('a cell that is no longer there') : trans.__('cell %1', number);
  };
  const CELL = '(cell \\d+|a cell that is no longer there)';
  const form = (pattern: string): RegExp => new RegExp(`^${pattern.replace(/CELL/g, CELL)}$`, 's');
  return [
    [form('it has never run'), () => trans.__('it has never run')],
    [form('it was edited since it ran'), () => trans.__('it was edited since it ran')],
    [form('it is to run again'), () => trans.__('it is to run again')],
    [form('it is no valid Python: (.*)'), error => trans.__('it is no valid Python: %1', error)],
    [form('it failed last time'), () => trans.__('it failed last time')],
    [form('it failed last time \\((.*)\\)'), error => trans.__('it failed last time (%1)', error)],
    [form('it was interrupted last time(.*)'), how => trans.__('it was interrupted last time') + how],
    [
      form('(`[^`]*`) of (\\w+) was (.*), is now (.*)'),
      (name, task, before, now) => trans.__('%1 of %2 was %3, is now %4', name, task, before, now)
    ],
    [
      form('CELL will run first and may change (.*); this one may turn out unchanged'),
      (other, what) =>
        trans.__(
          '%1 will run first and may change %2; this one may turn out unchanged',
          cell(other),
          it(what)
        )
    ],
    [
      form('CELL will run first and may change (.*)'),
      (other, what) => trans.__('%1 will run first and may change %2', cell(other), it(what))
    ],
    [
      form('when it ran, (.*) was as CELL below had left it'),
      (what, other) => trans.__('when it ran, %1 was as %2 below had left it', it(what), cell(other))
    ],
    [
      form('(.*) shares with others what this cell binds anew, and did not when it ran'),
      what => trans.__('%1 shares with others what this cell binds anew, and did not when it ran', it(what))
    ],
    [
      form('(.*) now comes from CELL, it came from CELL: the order changed'),
      (what, now, former) =>
        trans.__(
          '%1 now comes from %2, it came from %3: the order changed',
          it(what),
          cell(now),
          cell(former)
        )
    ],
    [
      form('(.*) came from CELL, which now stands below: the order changed'),
      (what, other) =>
        trans.__('%1 came from %2, which now stands below: the order changed', it(what), cell(other))
    ],
    [
      form('(.*) came from a cell that is no longer there'),
      what => trans.__('%1 came from a cell that is no longer there', it(what))
    ],
    [
      form('(.*) was changed by CELL'),
      (what, other) => trans.__('%1 was changed by %2', it(what), cell(other))
    ],
    [
      form("(.*) was changed outside the notebook: the cell's own is brought back"),
      what => trans.__("%1 was changed outside the notebook: the cell's own is brought back", it(what))
    ],
    [
      form('(.*) was changed outside the notebook'),
      what => trans.__('%1 was changed outside the notebook', it(what))
    ],
    [
      form('(.*) was left in another state by a later run: it is brought back'),
      what => trans.__('%1 was left in another state by a later run: it is brought back', it(what))
    ],
    [
      form('(.*) is missing: it is brought back'),
      what => trans.__('%1 is missing: it is brought back', it(what))
    ],
    [form('(.*) is missing'), what => trans.__('%1 is missing', it(what))],
    [form('(.*) is not what it was'), what => trans.__('%1 is not what it was', it(what))],
    [
      form('(.*) is not there and no longer in the store'),
      what => trans.__('%1 is not there and no longer in the store', it(what))
    ],
    [
      form('what it made could not be kept, and CELL needs it'),
      other => trans.__('what it made could not be kept, and %1 needs it', cell(other))
    ],
    [
      form('(.*) could not be kept, and CELL needs it'),
      (what, other) => trans.__('%1 could not be kept, and %2 needs it', it(what), cell(other))
    ],
    [
      form('what it shows is not what its run had shown: that is brought back'),
      () => trans.__('what it shows is not what its run had shown: that is brought back')
    ],
    [
      form('nothing that it depends on has changed since it ran'),
      () => trans.__('nothing that it depends on has changed since it ran')
    ],
    [
      form('tasks are to use another number of threads than when it ran'),
      () => trans.__('tasks are to use another number of threads than when it ran')
    ],
    [
      form('what it made holds absolute paths, and the workspace was moved or copied'),
      () => trans.__('what it made holds absolute paths, and the workspace was moved or copied')
    ],
    [
      form('(.*) is another version than when it ran'),
      names => trans.__('%1 is another version than when it ran', names)
    ]
  ];
}

/** What cells read that is no name and no product. */
function things(trans: TranslationBundle): readonly Form[] {
  return [
    [/^the directory (`.*`)$/s, name => trans.__('the directory %1', name)],
    [/^which names there are$/, () => trans.__('which names there are')],
    [/^what `Out` and `_` hold$/, () => trans.__('what `Out` and `_` hold')],
    [/^the state of (`[\w.]+`)$/, name => trans.__('the state of %1', name)],
    [/^the working directory$/, () => trans.__('the working directory')],
    [/^the environment variables$/, () => trans.__('the environment variables')],
    [/^the search path of modules$/, () => trans.__('the search path of modules')],
    [/^how numpy prints$/, () => trans.__('how numpy prints')],
    [/^the settings of matplotlib$/, () => trans.__('the settings of matplotlib')],
    [/^the options of pandas$/, () => trans.__('the options of pandas')]
  ];
}
