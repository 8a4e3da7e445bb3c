/** What would go to keep a budget, before it goes. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { type ReactElement, useEffect, useId, useState } from 'react';
import type { CasaServer } from '../server/client';
import type { ICollection } from '../server/types';
import { collectionWords, trouble } from './words';

/** Milliseconds after the last key before it is asked what would go. */
const SOON_MS = 300;

/** The server's largest budget in GB. */
const MOST = 999_999;

/** The part of the server that is needed. */
export type CollectionServer = Pick<CasaServer, 'planCollection' | 'collect'>;

/** What the preview shows. */
export interface IPreviewProps {
  server: CollectionServer;
  path: string;
  /** A budget in GB; undefined: as the settings say. Null: what was typed is none. */
  onBudget: (budget: number | undefined | null) => void;
  trans: TranslationBundle;
}

/** A budget in GB, as it was typed; undefined: nothing was; null: that is none. */
export function budgetOf(text: string): number | undefined | null {
  const typed = text.trim();
  if (typed === '') {
    return undefined;
  }
  const budget = Number(typed);
  return Number.isInteger(budget) && budget >= 1 && budget <= MOST ? budget : null;
}

/** The budget, and what would go to keep it. */
export function CollectionPreview({ server, path, onBudget, trans }: IPreviewProps): ReactElement {
  const [text, setText] = useState('');
  const [found, setFound] = useState<ICollection | null>(null);
  const [error, setError] = useState<unknown>(null);
  const id = useId();
  const budget = budgetOf(text);
  useEffect(() => {
    onBudget(budget);
    if (budget === null) {
      return undefined;
    }
    let wanted = true;
    const timer = setTimeout(
      () => {
        server.planCollection(path, budget).then(
          plan => {
            if (wanted) {
              setFound(plan);
              setError(null);
            }
          },
          (reason: unknown) => {
            if (wanted) {
              setFound(null);
              setError(reason);
            }
          }
        );
      },
      text === '' ? 0 : SOON_MS
    );
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [budget, path]);
  return (
    <div className="jp-casa-collect">
      <p>
        {trans.__(
          'Earlier versions can go: they are computed again when they are needed. What lies at its path, what an open notebook needs, and what nobody could compute again, always stays.'
        )}
      </p>
      <div className="jp-casa-collect-budget">
        <label htmlFor={id}>{trans.__('Disk that versions may take, in GB')}</label>
        <input
          id={id}
          type="text"
          inputMode="numeric"
          value={text}
          placeholder={trans.__('as the settings say')}
          aria-invalid={budget === null}
          aria-describedby={`${id}-said`}
          onChange={event => {
            setText(event.target.value);
          }}
        />
      </div>
      <div id={`${id}-said`} role="status" className="jp-casa-collect-said">
        {budget === null ? (
          <p>{trans.__('A whole number of GB, 1 or more.')}</p>
        ) : error !== null ? (
          <p className="jp-mod-warn">{trouble(error, trans)}</p>
        ) : found ? (
          <Collected found={found} trans={trans} />
        ) : (
          <p>{trans.__('Looking …')}</p>
        )}
      </div>
    </div>
  );
}

/** What goes and what stays. */
export function Collected({ found, trans }: { found: ICollection; trans: TranslationBundle }): ReactElement {
  const words = collectionWords(found, trans);
  return (
    <>
      <p>{words.head}</p>
      <p className="jp-casa-collect-result">{words.result}</p>
      {words.going.length > 0 && (
        <ul className="jp-casa-collect-going" tabIndex={0} aria-label={trans.__('What goes')}>
          {words.going.map((one, at) => (
            <li key={at}>
              <b>{one.what}</b> <span>{one.price}</span>
            </li>
          ))}
        </ul>
      )}
      {words.staying.length > 0 && (
        <details>
          <summary>{trans.__('Why the rest stays')}</summary>
          <ul>
            {words.staying.map(line => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}
