/** The list of tasks in the left side bar. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { type ReactElement, type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import type { ITaskSummary } from '../server/types';
import { troubleText } from './words';
import { byCategory, type Catalogue, type IFound, type Remembered, search } from './model';

/** What can be done with a task. */
export interface ITaskActions {
  /** Puts a call into the notebook; says why not. */
  insert(name: string): Promise<string>;
  /** Shows its parameters and its help. */
  show(name: string): void;
  /** It was pressed: drags it if the pointer moves; whether it did. */
  drag(name: string, event: { clientX: number; clientY: number }): Promise<boolean>;
}

/** What the list shows. */
export interface IPaletteProps {
  catalogue: Catalogue;
  remembered: Remembered;
  actions: ITaskActions;
  trans: TranslationBundle;
}

/** A line of the list: a heading, or a task. */
type Row =
  | { kind: 'group'; key: string; label: string; count: number; folded: boolean }
  | { kind: 'task'; key: string; found: IFound };

/** Favourites, what was used last, and all tasks by category; or what a query finds. */
function rowsOf({ catalogue, remembered, trans }: IPaletteProps, query: string): Row[] {
  if (query.trim()) {
    return search(catalogue.tasks, query).map(found => ({ kind: 'task', key: found.task.name, found }));
  }
  const named = (names: readonly string[]) =>
    names.flatMap(name => catalogue.tasks.filter(task => task.name === name));
  const groups: [string, string, readonly ITaskSummary[]][] = [
    ['*favourites', trans.__('Favourites'), named(remembered.favourites)],
    ['*recent', trans.__('Recent'), named(remembered.recent)],
    ...byCategory(catalogue.tasks).map(({ category, tasks }): [string, string, readonly ITaskSummary[]] => [
      category,
      category || trans.__('other'),
      tasks
    ])
  ];
  return groups
    .filter(([, , tasks]) => tasks.length)
    .flatMap(([key, label, tasks]): Row[] => {
      const folded = remembered.folded(key);
      const rows = tasks.map((task): Row => ({
        kind: 'task',
        key: `${key} ${task.name}`,
        found: { task, letters: [], parameters: [] }
      }));
      return [{ kind: 'group', key, label, count: tasks.length, folded }, ...(folded ? [] : rows)];
    });
}

/** The list, and the field in which one searches. */
export function Palette(props: IPaletteProps): ReactElement {
  const { catalogue, remembered, actions, trans } = props;
  const [query, setQuery] = useState('');
  const [active, setActive] = useState<string | null>(null);
  const [said, setSaid] = useState('');
  const list = useRef<HTMLDivElement>(null);
  const id = useId();
  const rows = rowsOf(props, query);
  const found = rows.findIndex(row => row.key === active);
  const index = found >= 0 ? found : query.trim() && rows.length ? 0 : -1;
  const idOf = (at: number) => `${id}-${String(at)}`;

  useEffect(() => {
    if (active !== null) {
      list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
    }
  }, [active]);

  const insert = (name: string) => {
    void actions.insert(name).then(setSaid);
  };
  const go = (at: number) => {
    setActive(rows[Math.min(Math.max(at, 0), rows.length - 1)]?.key ?? null);
  };
  const onKeyDown = (event: KeyboardEvent, typing: boolean) => {
    const row = rows[index];
    const task = row?.kind === 'task' ? row.found.task.name : null;
    const keys: Record<string, (() => void) | undefined> = {
      ArrowDown: () => {
        go(index + 1);
      },
      ArrowUp: () => {
        go(index - 1);
      },
      PageDown: () => {
        go(index + 10);
      },
      PageUp: () => {
        go(index - 10);
      },
      Enter: () => {
        if (task && event.shiftKey) {
          actions.show(task);
        } else if (task) {
          insert(task);
        } else if (row) {
          remembered.toggleFolded(row.key);
        }
      },
      Escape: query
        ? () => {
            setQuery('');
          }
        : undefined
    };
    const further: Record<string, (() => void) | undefined> = {
      Home: () => {
        go(0);
      },
      End: () => {
        go(rows.length - 1);
      },
      ArrowRight: () => {
        if (row?.kind === 'group' && row.folded) {
          remembered.toggleFolded(row.key);
        } else {
          go(index + 1);
        }
      },
      ArrowLeft: () => {
        if (row?.kind === 'group' && !row.folded) {
          remembered.toggleFolded(row.key);
        } else {
          go(rows.slice(0, Math.max(index, 0)).findLastIndex(other => other.kind === 'group'));
        }
      },
      f: () => {
        if (task) {
          remembered.toggleFavourite(task);
        }
      },
      h: () => {
        if (task) {
          actions.show(task);
        }
      },
      ' ': () => {
        keys.Enter?.();
      }
    };
    const act = keys[event.key] ?? (typing ? undefined : further[event.key]);
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) {
      act();
      event.preventDefault();
      event.stopPropagation();
    }
  };

  const trouble = catalogue.trouble && troubleText(catalogue.trouble, trans);
  return (
    <div className="jp-casa-palette">
      <input
        className="jp-casa-palette-search"
        type="search"
        role="combobox"
        placeholder={trans.__('Search tasks')}
        aria-label={trans.__('Search tasks by name, description or parameter')}
        aria-haspopup="tree"
        aria-expanded={true}
        aria-autocomplete="list"
        aria-controls={`${id}-list`}
        aria-activedescendant={index >= 0 ? idOf(index) : undefined}
        value={query}
        onChange={event => {
          setQuery(event.target.value);
          setActive(null);
        }}
        onKeyDown={event => {
          onKeyDown(event, true);
        }}
      />
      <div className="jp-casa-palette-said" role="status">
        {trouble ?? said}
        {trouble !== null && (
          <button type="button" className="jp-casa-link" onClick={() => void catalogue.load()}>
            {trans.__('Try again')}
          </button>
        )}
        {query.trim() !== '' && !rows.length && trans.__('No task fits.')}
      </div>
      <div
        id={`${id}-list`}
        ref={list}
        className="jp-casa-palette-list"
        role="tree"
        tabIndex={0}
        aria-label={trans.__('CASA tasks')}
        aria-activedescendant={index >= 0 ? idOf(index) : undefined}
        aria-keyshortcuts="Enter Shift+Enter F H"
        onKeyDown={event => {
          onKeyDown(event, false);
        }}
      >
        {rows.map((row, at) =>
          row.kind === 'group' ? (
            <div
              key={row.key}
              id={idOf(at)}
              role="treeitem"
              aria-level={1}
              aria-expanded={!row.folded}
              aria-selected={at === index}
              className="jp-casa-palette-group"
              onMouseDown={keepFocus}
              onClick={() => {
                setActive(row.key);
                remembered.toggleFolded(row.key);
              }}
            >
              <span className="jp-casa-palette-fold" aria-hidden="true">
                {row.folded ? '▸ ' : '▾ '}
              </span>
              {row.label} <span className="jp-casa-palette-count">{row.count}</span>
            </div>
          ) : (
            <TaskRow
              key={row.key}
              id={idOf(at)}
              found={row.found}
              selected={at === index}
              level={query.trim() ? 1 : 2}
              favourite={remembered.favourites.includes(row.found.task.name)}
              onInsert={() => {
                setActive(row.key);
                insert(row.found.task.name);
              }}
              {...{ remembered, actions, trans }}
            />
          )
        )}
      </div>
    </div>
  );
}

/** The cursor stays in the notebook, where the call goes. */
function keepFocus(event: { preventDefault(): void }): void {
  event.preventDefault();
}

interface ITaskRowProps {
  id: string;
  found: IFound;
  selected: boolean;
  level: number;
  favourite: boolean;
  onInsert: () => void;
  remembered: Remembered;
  actions: ITaskActions;
  trans: TranslationBundle;
}

function TaskRow(props: ITaskRowProps): ReactElement {
  const { found, favourite, actions, remembered, trans } = props;
  const { name, summary } = found.task;
  const dragged = useRef(false);
  const button = (label: string, text: string, act: () => void, pressed?: boolean) => (
    <button
      type="button"
      tabIndex={-1}
      className="jp-casa-palette-button"
      title={label}
      aria-label={label}
      aria-pressed={pressed}
      onPointerDown={event => {
        event.stopPropagation();
      }}
      onClick={event => {
        event.stopPropagation();
        act();
      }}
    >
      {text}
    </button>
  );
  return (
    <div
      id={props.id}
      role="treeitem"
      aria-level={props.level}
      aria-selected={props.selected}
      aria-label={`${name}: ${summary}`}
      className="jp-casa-palette-task"
      title={summary}
      onMouseDown={keepFocus}
      onPointerDown={event => {
        if (event.button === 0) {
          void actions.drag(name, event).then(moved => {
            dragged.current = moved;
          });
        }
      }}
      onClick={() => {
        if (!dragged.current) {
          props.onInsert();
        }
        dragged.current = false;
      }}
    >
      <span className="jp-casa-palette-name">
        {Array.from(name, (letter, at) => (found.letters.includes(at) ? <b key={at}>{letter}</b> : letter))}
      </span>
      {button(
        favourite
          ? trans.__('Remove %1 from the favourites', name)
          : trans.__('Add %1 to the favourites', name),
        favourite ? '★' : '☆',
        () => {
          remembered.toggleFavourite(name);
        },
        favourite
      )}
      {button(trans.__('Parameters and help of %1', name), '?', () => {
        actions.show(name);
      })}
      <span className="jp-casa-palette-summary">
        {found.parameters.length ? trans.__('parameters: %1', found.parameters.join(', ')) : summary}
      </span>
    </div>
  );
}
