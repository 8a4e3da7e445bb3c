/** Two versions of a product beside each other. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { type ReactElement, type ReactNode, useId, useState } from 'react';
import { diffLines } from '../notebook/diff';
import { duration } from '../notebook/words';
import type {
  IDataDifference,
  IDifference,
  IFiles,
  IFlagDifference,
  IFlagGroup,
  IImageDifference,
  IPercentages,
  IVersion,
  IVersionSummary,
  Json
} from '../server/types';
import { pythonOf } from '../tasks/form/literal';
import { type Differences, type IAnswer, inputRows, parameterRows } from './differences';
import type { IVersionRow } from './model';
import { percent, quantity, size, trouble, versionLine, when } from './words';

/** What the comparison shows. */
export interface IComparisonProps {
  differences: Differences;
  trans: TranslationBundle;
}

/** Characters of a value that are shown; the rest is in a tooltip. */
const LONGEST = 120;

/** Choice, calls, data and files. */
export function Comparison({ differences, trans }: IComparisonProps): ReactElement {
  const { before, after, data, files } = differences;
  const gone = [before, after].find(({ error }) => error !== null);
  return (
    <div className="jp-casa-versions" tabIndex={-1}>
      <Choice differences={differences} trans={trans} />
      {gone ? (
        <Trouble
          error={gone.error}
          retry={() => {
            differences.retry();
          }}
          trans={trans}
        />
      ) : (
        <>
          <Calls differences={differences} trans={trans} />
          <Part
            title={trans.__('Data')}
            answer={data}
            wait={trans.__('CASA is reading both versions …')}
            trans={trans}
          >
            {found => <Data found={found} trans={trans} />}
          </Part>
          <Part title={trans.__('Files')} answer={files} wait={trans.__('Looking …')} trans={trans}>
            {found => <Files found={found} trans={trans} />}
          </Part>
        </>
      )}
    </div>
  );
}

/** Rows of the list with their numbers. */
function numbered(versions: readonly IVersionSummary[]): IVersionRow[] {
  const counts = new Map<string, number>();
  return versions.map(version => {
    const number = (counts.get(version.path) ?? 0) + 1;
    counts.set(version.path, number);
    return { ...version, number, alone: null };
  });
}

function Choice({ differences, trans }: IComparisonProps): ReactElement {
  const { pair, versions } = differences;
  const rows = numbered(versions.value ?? []);
  const groups = [...new Set(rows.map(({ path }) => path))];
  // Those of the product that is looked at come first.
  const first = rows.find(({ id }) => id === pair.after)?.path;
  groups.sort((one, other) => Number(other === first) - Number(one === first));
  const id = useId();
  const select = (label: string, value: string, take: (id: string) => void) => (
    <div>
      <label htmlFor={`${id}-${label}`}>{label}</label>
      <select
        id={`${id}-${label}`}
        value={value}
        onChange={event => {
          take(event.target.value);
        }}
      >
        {rows.some(({ id }) => id === value) || <option value={value}>…</option>}
        {groups.map(path => (
          <optgroup key={path} label={path}>
            {rows
              .filter(row => row.path === path)
              .reverse()
              .map(row => (
                <option key={row.id} value={row.id}>
                  {`${path}, ${versionLine(row, trans)}`}
                </option>
              ))}
          </optgroup>
        ))}
      </select>
    </div>
  );
  return (
    <div className="jp-casa-versions-choice">
      {select(trans.__('Before'), pair.before, id => {
        differences.pair = { ...pair, before: id };
      })}
      <button
        type="button"
        className="jp-casa-products-button"
        title={trans.__('Exchange both')}
        aria-label={trans.__('Exchange both')}
        onClick={() => {
          differences.pair = { ...pair, before: pair.after, after: pair.before };
        }}
      >
        ⇄
      </button>
      {select(trans.__('After'), pair.after, id => {
        differences.pair = { ...pair, after: id };
      })}
    </div>
  );
}

function Trouble({
  error,
  retry,
  trans
}: {
  error: unknown;
  retry?: () => void;
  trans: TranslationBundle;
}): ReactElement {
  return (
    <p className="jp-casa-versions-note jp-mod-warn" role="status">
      {trouble(error, trans)}{' '}
      {retry && (
        <button type="button" className="jp-casa-link" onClick={retry}>
          {trans.__('Try again')}
        </button>
      )}
    </p>
  );
}

interface IPartProps<T> {
  title: string;
  answer: IAnswer<T>;
  wait: string;
  children: (found: T) => ReactNode;
  trans: TranslationBundle;
}

function Part<T>({ title, answer, wait, children, trans }: IPartProps<T>): ReactElement {
  const id = useId();
  return (
    <section aria-labelledby={id} aria-busy={answer.value === null && answer.error === null}>
      <h2 id={id}>{title}</h2>
      {answer.value !== null ? (
        children(answer.value)
      ) : answer.error !== null ? (
        <Trouble error={answer.error} trans={trans} />
      ) : (
        <p className="jp-casa-versions-note" role="status">
          {wait}
        </p>
      )}
    </section>
  );
}

// -- calls --------------------------------------------------------------------------------------------------------

function Calls({ differences, trans }: IComparisonProps): ReactElement {
  const { before, after, versions } = differences;
  const [all, setAll] = useState(false);
  const id = useId();
  const rows = parameterRows(before.value, after.value);
  const differing = rows.filter(row => row.differs);
  const shown = all ? rows : differing;
  const equal = rows.length - differing.length;
  const inputs = inputRows(before.value, after.value);
  const known = new Map(numbered(versions.value ?? []).map(row => [row.id, row]));
  const input = (version: string | undefined) => {
    const row = version === undefined ? undefined : known.get(version);
    return version === undefined ? '–' : row ? versionLine(row, trans) : trans.__('another state');
  };
  const side = ({ value }: IAnswer<IVersion>) =>
    value === null ? '' : value.call ? value.call.task : trans.__('no task of a notebook');
  const cost = ({ value }: IAnswer<IVersion>) =>
    value?.call ? trans.__('%1, %2', when(value.call.created), duration(value.call.seconds)) : '';
  const cell = (value: Json | undefined) => {
    const text = value === undefined ? '–' : pythonOf(value);
    return text.length > LONGEST ? (
      <code title={text}>{`${text.slice(0, LONGEST)}…`}</code>
    ) : (
      <code>{text}</code>
    );
  };
  return (
    <section aria-labelledby={id}>
      <h2 id={id}>{trans.__('Calls')}</h2>
      <div className="jp-casa-versions-scroll" tabIndex={0} role="region" aria-label={trans.__('Both calls')}>
        <table className="jp-casa-versions-table">
          <thead>
            <tr>
              <th scope="col">{trans.__('Parameter')}</th>
              <th scope="col">
                {trans.__('Before')}
                <Sub>{side(before)}</Sub>
                <Sub quiet>{cost(before)}</Sub>
              </th>
              <th scope="col">
                {trans.__('After')}
                <Sub>{side(after)}</Sub>
                <Sub quiet>{cost(after)}</Sub>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map(row => (
              <tr key={row.name} data-differs={row.differs}>
                <th scope="row">
                  <Mark differs={row.differs} trans={trans} />
                  <code>{row.name}</code>
                </th>
                <td>{cell(row.before)}</td>
                <td>{cell(row.after)}</td>
              </tr>
            ))}
            {inputs.map(row => (
              <tr key={`/${row.path}`} data-differs>
                <th scope="row">
                  <Mark differs trans={trans} />
                  {trans.__('read %1', row.path)}
                </th>
                <td>{input(row.before)}</td>
                <td>{input(row.after)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {before.value && after.value && !differing.length && !inputs.length && (
        <p className="jp-casa-versions-note">
          {rows.length
            ? trans.__('Both calls have the same parameters, and read the same data.')
            : trans.__('No call of a notebook made them, so there are no parameters.')}
        </p>
      )}
      {equal > 0 && (
        <button
          type="button"
          className="jp-casa-link"
          aria-expanded={all}
          onClick={() => {
            setAll(!all);
          }}
        >
          {all
            ? trans.__('Hide what is equal')
            : trans._n('Show %1 parameter that is equal', 'Show %1 parameters that are equal', equal)}
        </button>
      )}
    </section>
  );
}

function Sub({ children, quiet }: { children: string; quiet?: boolean }): ReactElement | null {
  return children ? (
    <span className={quiet ? 'jp-casa-versions-quiet' : 'jp-casa-versions-sub'}>{children}</span>
  ) : null;
}

function Mark({ differs, trans }: { differs: boolean; trans: TranslationBundle }): ReactElement {
  return (
    <span className="jp-casa-versions-mark" title={differs ? trans.__('differs') : trans.__('equal')}>
      {differs ? '≠' : '='}
    </span>
  );
}

// -- data ---------------------------------------------------------------------------------------------------------

function Data({ found, trans }: { found: IDataDifference; trans: TranslationBundle }): ReactElement {
  if (found.flags) {
    return <Flags found={found.flags} trans={trans} />;
  }
  if (found.image) {
    return <Image found={found.image} trans={trans} />;
  }
  if (found.files) {
    return found.kind === 'picture' ? (
      <Pictures found={found.files} trans={trans} />
    ) : (
      <Texts found={found.files} trans={trans} />
    );
  }
  return (
    <p className="jp-casa-versions-note">
      {trans.__('They hold neither flags nor pixels nor texts that could be compared; see the files.')}
    </p>
  );
}

function ReadPart({ read, trans }: { read: number; trans: TranslationBundle }): ReactElement | null {
  return read < 0.9995 ? (
    <p className="jp-casa-versions-note">
      {trans.__('They are large: %1 of the data, evenly spread, were read.', percent(read))}
    </p>
  ) : null;
}

/** A percentage, to three digits. */
function share(value: number | null): string {
  return value === null ? '–' : `${String(Number(value.toPrecision(3)))} %`;
}

/** By how many percentage points more is flagged. */
function points({ before, after }: IPercentages): string {
  if (before === null || after === null) {
    return '';
  }
  const more = Number((after - before).toPrecision(3));
  return more === 0 ? '=' : `${more > 0 ? '+' : '−'}${String(Math.abs(more))}`;
}

function Flags({ found, trans }: { found: IFlagDifference; trans: TranslationBundle }): ReactElement {
  const { total, groups } = found;
  const id = useId();
  const changed = groups.filter(({ rows }) => rows.some(row => row.before !== row.after));
  const [by, setBy] = useState<IFlagGroup['by'] | null>(null);
  const group = groups.find(one => one.by === by) ?? changed[0] ?? groups[0];
  const names: Record<IFlagGroup['by'], string> = {
    antenna: trans.__('Antenna'),
    correlation: trans.__('Correlation'),
    field: trans.__('Field'),
    scan: trans.__('Scan'),
    spw: trans.__('Spectral window')
  };
  const nameOf = (kind: IFlagGroup['by'], id: number, name: string) =>
    kind === 'correlation' && name
      ? name
      : name && name !== String(id)
        ? `${String(id)}: ${name}`
        : String(id);
  return (
    <>
      <p className="jp-casa-versions-lead">
        {trans.__('Flagged: %1 before, %2 after', share(total.before), share(total.after))}
        {points(total) && points(total) !== '=' && ` (${trans.__('%1 points', points(total))})`}
      </p>
      <ReadPart read={found.read} trans={trans} />
      {group && (
        <>
          <div className="jp-casa-versions-by">
            <label htmlFor={id}>{trans.__('By')}</label>
            <select
              id={id}
              value={group.by}
              onChange={event => {
                setBy(event.target.value as IFlagGroup['by']);
              }}
            >
              {groups.map(one => (
                <option key={one.by} value={one.by}>
                  {changed.includes(one) ? names[one.by] : trans.__('%1 (all equal)', names[one.by])}
                </option>
              ))}
            </select>
          </div>
          <div
            className="jp-casa-versions-scroll"
            tabIndex={0}
            role="region"
            aria-label={trans.__('What is flagged')}
          >
            <table className="jp-casa-versions-table jp-casa-versions-flags">
              <thead>
                <tr>
                  <th scope="col">{names[group.by]}</th>
                  <th scope="col">{trans.__('Before')}</th>
                  <th scope="col">{trans.__('After')}</th>
                  <th scope="col">{trans.__('Points')}</th>
                </tr>
              </thead>
              <tbody>
                {group.rows.map(row => (
                  <tr key={row.id} data-differs={row.before !== row.after}>
                    <th scope="row">{nameOf(group.by, row.id, row.name)}</th>
                    <td>
                      <Bar value={row.before} />
                    </td>
                    <td>
                      <Bar value={row.after} />
                    </td>
                    <td className="jp-casa-versions-number">{points(row)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
          {group.omitted > 0 && (
            <p className="jp-casa-versions-note">
              {trans._n('%1 more is not shown.', '%1 more are not shown.', group.omitted)}
            </p>
          )}
        </>
      )}
    </>
  );
}

function Bar({ value }: { value: number | null }): ReactElement {
  return (
    <span className="jp-casa-versions-bar">
      <span aria-hidden="true">
        <span style={{ width: `${String(Math.min(100, value ?? 0))}%` }} />
      </span>
      {share(value)}
    </span>
  );
}

function Image({ found, trans }: { found: IImageDifference; trans: TranslationBundle }): ReactElement {
  const { unit, difference, pictures, shapes } = found;
  const numbers = [
    [trans.__('Minimum'), 'minimum'],
    [trans.__('Maximum'), 'maximum'],
    [trans.__('Mean'), 'mean'],
    [trans.__('rms'), 'rms']
  ] as const;
  const kinds: Record<string, string> = {
    spectral: trans.__('channel'),
    stokes: trans.__('Stokes plane'),
    linear: trans.__('pixel')
  };
  const place = (at: readonly number[]) =>
    at
      .map((n, axis) => ({ n, kind: found.axes[axis + 2] ?? '', length: shapes[1]?.[axis + 2] ?? 1 }))
      .filter(({ length }) => length > 1)
      .map(({ n, kind }) => `${kinds[kind] ?? kind} ${String(n)}`)
      .join(', ');
  const [low = 0, high = 0] = pictures.range;
  const most = pictures.difference_range?.[1] ?? 0;
  const scale = trans.__('%1 to %2', quantity(low), quantity(high, unit));
  const figure = (title: string, source: string, note: string, colours: string) => (
    <figure>
      <figcaption>{title}</figcaption>
      <img src={source} alt={`${title}: ${note}`} />
      <div className="jp-casa-versions-scale" data-colours={colours} aria-hidden="true" />
      <div className="jp-casa-versions-quiet">{note}</div>
    </figure>
  );
  const [one, other] = shapes;
  let lead: string;
  if (!difference) {
    lead = trans.__(
      'Their shapes differ: %1 and %2 pixels.',
      one?.join(' × ') ?? '',
      other?.join(' × ') ?? ''
    );
  } else if (difference.differing === 0) {
    lead = trans.__('All pixels are equal.');
  } else {
    lead = trans.__(
      'They differ by %1 at most, at pixel %2; by %3 rms. %4 of the pixels differ.',
      quantity(difference.largest, unit),
      difference.at.slice(0, 2).join(', '),
      quantity(difference.rms, unit),
      percent(difference.differing)
    );
  }
  const where = place(pictures.places[1] ?? []);
  return (
    <>
      <p className="jp-casa-versions-lead">{lead}</p>
      <ReadPart read={found.read} trans={trans} />
      {where !== '' && (
        <p className="jp-casa-versions-note">
          {difference && difference.differing > 0
            ? trans.__('Shown is where they differ most: %1.', where)
            : trans.__('Shown is %1.', where)}
        </p>
      )}
      <div className="jp-casa-versions-pictures">
        {figure(trans.__('Before'), pictures.before, scale, 'heat')}
        {figure(trans.__('After'), pictures.after, scale, 'heat')}
        {pictures.difference !== null &&
          figure(
            trans.__('After − before'),
            pictures.difference,
            trans.__('%1 to %2', quantity(-most), quantity(most, unit)),
            'signed'
          )}
      </div>
      <table className="jp-casa-versions-table">
        <thead>
          <tr>
            <th scope="col">{unit || trans.__('Pixels')}</th>
            <th scope="col">{trans.__('Before')}</th>
            <th scope="col">{trans.__('After')}</th>
            {difference && <th scope="col">{trans.__('After − before')}</th>}
          </tr>
        </thead>
        <tbody>
          {numbers.map(([label, key]) => (
            <tr key={key}>
              <th scope="row">{label}</th>
              <td className="jp-casa-versions-number">{quantity(found.before[key])}</td>
              <td className="jp-casa-versions-number">{quantity(found.after[key])}</td>
              {difference && <td className="jp-casa-versions-number">{quantity(difference[key])}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function Pictures({ found, trans }: { found: IFiles; trans: TranslationBundle }): ReactElement {
  return (
    <div className="jp-casa-versions-pictures jp-mod-plots">
      {(
        [
          [trans.__('Before'), found.before],
          [trans.__('After'), found.after]
        ] as const
      ).map(([title, source]) => (
        <figure key={title}>
          <figcaption>{title}</figcaption>
          <img src={source} alt={title} />
        </figure>
      ))}
    </div>
  );
}

function Texts({ found, trans }: { found: IFiles; trans: TranslationBundle }): ReactElement {
  if (found.before === found.after) {
    return <p className="jp-casa-versions-note">{trans.__('The texts are equal.')}</p>;
  }
  const signs = { same: ' ', gone: '−', new: '+' };
  return (
    <div
      className="jp-casa-compare-diff"
      tabIndex={0}
      role="region"
      aria-label={trans.__('Text: before (−) and after (+)')}
    >
      {diffLines(found.before, found.after).map(({ kind, text }, at) => (
        <div key={at} className="jp-casa-compare-line" data-kind={kind}>
          {`${signs[kind]} ${text}`}
        </div>
      ))}
    </div>
  );
}

// -- files --------------------------------------------------------------------------------------------------------

function Files({ found, trans }: { found: IDifference; trans: TranslationBundle }): ReactElement {
  const { count } = found;
  const kinds = [
    ['changed', trans.__('changed'), '≠'],
    ['added', trans.__('new'), '+'],
    ['removed', trans.__('gone'), '−'],
    ['unsure', trans.__('not compared'), '?']
  ] as const;
  const said = kinds
    .filter(([kind]) => count[kind] > 0)
    .map(([kind, label]) => `${String(count[kind])} ${label}`);
  const total = trans.__('%1 before, %2 after.', size(found.before.bytes), size(found.after.bytes));
  if (!said.length) {
    return <p className="jp-casa-versions-note">{`${trans.__('All files are equal.')} ${total}`}</p>;
  }
  return (
    <>
      <p className="jp-casa-versions-note">{`${trans.__('Files: %1.', said.join(', '))} ${total}`}</p>
      <details>
        <summary>{trans.__('Show the files')}</summary>
        <div className="jp-casa-versions-scroll" tabIndex={0} role="region" aria-label={trans.__('Files')}>
          <table className="jp-casa-versions-table">
            <thead>
              <tr>
                <th scope="col">{trans.__('File')}</th>
                <th scope="col">{trans.__('Before')}</th>
                <th scope="col">{trans.__('After')}</th>
              </tr>
            </thead>
            <tbody>
              {kinds.flatMap(([kind, label, sign]) =>
                found[kind].map(row => (
                  <tr key={`${kind} ${row.name}`}>
                    <th scope="row">
                      <span className="jp-casa-versions-mark" title={label}>
                        {sign}
                      </span>
                      <code>{row.name || '.'}</code>
                    </th>
                    <td className="jp-casa-versions-number">
                      {row.before === null ? '–' : size(row.before)}
                    </td>
                    <td className="jp-casa-versions-number">{row.after === null ? '–' : size(row.after)}</td>
                  </tr>
                ))
              )}
            </tbody>
          </table>
        </div>
      </details>
    </>
  );
}
