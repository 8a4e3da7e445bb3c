/** What CASA's documentation and our software say of a task. All of it is shown as text, whatever it looks like. */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReactElement } from 'react';
import { duration } from '../notebook/words';
import type { IDocsPiece, IDurations, ITask } from '../server/types';
import { defaultText } from './form/model';
import { pythonOf } from './form/literal';
import { readSource, initialScope } from './form/source';
import { effectTexts, typesText } from './words';

/** Documentation: paragraphs, and what is laid out in lines. */
export function Docs({
  pieces,
  extra
}: {
  pieces: readonly IDocsPiece[];
  extra?: (text: string) => ReactElement | null;
}): ReactElement {
  return (
    <>
      {pieces.map(({ kind, text }, index) =>
        kind === 'paragraph' ? (
          <p key={index}>{text}</p>
        ) : (
          <div key={index} className="jp-casa-help-block">
            <pre tabIndex={0}>{text}</pre>
            {extra?.(text)}
          </div>
        )
      )}
    </>
  );
}

/** The calls of a task in an example, each as it can be put into a notebook. */
export function examplesIn(text: string, task: string): string[] {
  // Explanations stand between the lines, so each call is looked for where it begins.
  const found: string[] = [];
  const begins = new RegExp(`(?<![\\w.])${task}\\s*\\(`, 'g');
  for (const { index } of text.matchAll(begins)) {
    const source = text.slice(index);
    const [call] = readSource(source, initialScope([task], [])).calls;
    const left = call?.arguments.some(({ value }) => source.slice(value.from, value.to) === '...');
    if (call?.from === 0 && call.sound && call.arguments.length && !left) {
      found.push(source.slice(0, call.to).replace(/\n[ \t]*/g, `\n${' '.repeat(task.length + 1)}`));
    }
  }
  return Array.from(new Set(found));
}

/** How long a task usually takes here. */
export function durationsText(
  { runs, typical_s: typical, shortest_s: least, longest_s: most }: IDurations,
  trans: TranslationBundle
): string {
  if (typical === null || least === null || most === null) {
    return trans.__('It has not been run here yet.');
  }
  const times = trans._n('It ran once here', 'It ran %1 times here', runs, runs);
  return most - least < 0.1 * typical || runs === 1
    ? trans.__('%1, in %2.', times, duration(typical))
    : trans.__('%1, usually in %2 (%3 to %4).', times, duration(typical), duration(least), duration(most));
}

/** All of it. */
export function TaskHelp(props: {
  task: ITask;
  /** Puts a call into the notebook; without it, that is not offered. */
  onInsert?: (text: string) => void;
  /** Shows a parameter in the form. */
  onParameter?: (name: string) => void;
  /** Without name and summary. */
  bare?: boolean;
  trans: TranslationBundle;
}): ReactElement {
  const { task, onInsert, onParameter, bare, trans } = props;
  const examples = examplesIn(task.example.map(({ text }) => text).join('\n\n'), task.name);
  const insert = (text: string) =>
    onInsert && (
      <button
        type="button"
        className="jp-casa-link"
        onMouseDown={event => {
          event.preventDefault(); // the cursor stays where the call goes
        }}
        onClick={() => {
          onInsert(text);
        }}
      >
        {trans.__('Insert')}
      </button>
    );
  return (
    <div className="jp-casa-help">
      {!bare && (
        <>
          <h2>
            <code>{task.name}</code>
          </h2>
          <p>{task.summary}</p>
        </>
      )}
      {task.docs.length > 0 ? (
        <Docs pieces={task.docs} />
      ) : (
        <p>{trans.__('CASA has no description of it.')}</p>
      )}
      <h3>{trans.__('What it does to data')}</h3>
      <ul>
        {effectTexts(task.effects, trans).map(text => (
          <li key={text}>{text}</li>
        ))}
        {task.here && <li>{durationsText(task.here, trans)}</li>}
      </ul>
      {examples.length > 0 && (
        <>
          <h3>{trans.__('Examples')}</h3>
          {examples.map(text => (
            <div key={text} className="jp-casa-help-block">
              <pre tabIndex={0}>{text}</pre>
              {insert(text)}
            </div>
          ))}
        </>
      )}
      {task.example.length > 0 && (
        <details>
          <summary>{trans.__('Notes and examples of CASA')}</summary>
          <Docs pieces={task.example} />
        </details>
      )}
      <h3>{trans.__('Parameters')}</h3>
      <table>
        <thead>
          <tr>
            <th scope="col">{trans.__('Name, default')}</th>
            <th scope="col">{trans.__('Meaning')}</th>
          </tr>
        </thead>
        <tbody>
          {task.parameters
            .filter(({ hidden }) => !hidden)
            .map(parameter => (
              <tr key={parameter.name} className={parameter.subparameter ? 'jp-mod-sub' : undefined}>
                <th scope="row">
                  {onParameter ? (
                    <button
                      type="button"
                      className="jp-casa-link"
                      onClick={() => {
                        onParameter(parameter.name);
                      }}
                    >
                      {parameter.name}
                    </button>
                  ) : (
                    <code>{parameter.name}</code>
                  )}
                  <div>
                    <code>{defaultText(parameter)}</code>
                  </div>
                </th>
                <td>
                  {parameter.summary} <span className="jp-casa-help-type">{typesText(parameter, trans)}</span>
                  {parameter.allowed.length > 0 && (
                    <div>
                      {trans.__(
                        'Possible are %1.',
                        parameter.allowed.map(value => pythonOf(value)).join(', ')
                      )}
                    </div>
                  )}
                </td>
              </tr>
            ))}
        </tbody>
      </table>
    </div>
  );
}
