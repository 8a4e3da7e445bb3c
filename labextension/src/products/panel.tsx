/** The list of data products, in a side bar. */
import type { TranslationBundle } from '@jupyterlab/translation';
import {
  type KeyboardEvent,
  type MouseEvent,
  type ReactElement,
  useEffect,
  useId,
  useRef,
  useState
} from 'react';
import { duration } from '../notebook/words';
import type { INearLimit } from '../server/types';
import type { IProduct, IVersionRow, ProductsModel } from './model';
import { kindOf, listed, maker, percent, size, trouble, when } from './words';

/** What can be done; all take part of what is chosen. */
export interface IProductActions {
  restore: (version: IVersionRow) => void;
  restoreAs: (version: IVersionRow) => void;
  compare: (version: IVersionRow) => void;
  /** Shows a product in the file browser. */
  reveal: (path: string) => void;
  collect: () => void;
  /** Opens a menu for what is chosen, at a place of the window. */
  menu: (x: number, y: number) => void;
}

/** What is chosen in the list. */
export interface IChoice {
  product: IProduct;
  /** Null: the product as a whole. */
  version: IVersionRow | null;
}

/** What the list shows. */
export interface IPanelProps {
  model: ProductsModel;
  actions: IProductActions;
  /** Tells what is chosen; null: nothing. */
  onChoice: (choice: IChoice | null) => void;
  trans: TranslationBundle;
}

/** More products than this can be filtered by name. */
const FILTER_FROM = 8;

/** Store, list, and what is chosen. */
export function ProductsPanel(props: IPanelProps): ReactElement {
  const { model, actions, onChoice, trans } = props;
  const [query, setQuery] = useState('');
  const [chosen, setChosen] = useState<string | null>(null);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const wanted = query.trim().toLowerCase();
  const products = model.products.filter(({ path }) => path.toLowerCase().includes(wanted));
  const rows = products.flatMap((product): IChoice[] => [
    { product, version: null },
    ...(open.has(product.path) ? product.versions.map(version => ({ product, version })) : [])
  ]);
  const choice = rows.find(row => keyOf(row) === chosen) ?? null;
  useEffect(() => {
    onChoice(choice);
  });

  const select = (row: IChoice | undefined) => {
    setChosen(row ? keyOf(row) : null);
  };
  const fold = (product: IProduct, unfold?: boolean) => {
    const next = new Set(open);
    if (unfold ?? !open.has(product.path)) {
      next.add(product.path);
    } else {
      next.delete(product.path);
    }
    setOpen(next);
  };

  if (model.path === null) {
    return (
      <div className="jp-casa-products">
        <p className="jp-casa-products-empty">
          {trans.__(
            'Open a notebook, or go to its folder in the file browser: its data products are listed here.'
          )}
        </p>
      </div>
    );
  }
  return (
    <div className="jp-casa-products">
      <Head model={model} trans={trans} />
      {model.state !== 'empty' && model.store !== null && (
        <StoreUse model={model} actions={actions} trans={trans} />
      )}
      <Said model={model} trans={trans} />
      {model.state === 'empty' && (
        <p className="jp-casa-products-empty">
          {trans.__(
            'Nothing is remembered in this folder yet. What CASA tasks read and make in its notebooks appears here.'
          )}
        </p>
      )}
      {model.products.length > FILTER_FROM && (
        <input
          className="jp-casa-products-filter"
          type="search"
          placeholder={trans.__('Filter products')}
          aria-label={trans.__('Show only products whose name contains this')}
          value={query}
          onChange={event => {
            setQuery(event.target.value);
          }}
        />
      )}
      {model.products.length > 0 && (
        <Tree
          {...props}
          rows={rows}
          choice={choice}
          isOpen={path => open.has(path)}
          select={select}
          fold={fold}
          isFiltered={wanted !== ''}
        />
      )}
      {choice && <Details choice={choice} model={model} actions={actions} trans={trans} />}
    </div>
  );
}

/** Of a line: the same as long as it is the same thing. */
function keyOf({ product, version }: IChoice): string {
  return version ? version.id : `/${product.path}`;
}

function Head({ model, trans }: Pick<IPanelProps, 'model' | 'trans'>): ReactElement {
  const label = trans.__('Look again');
  return (
    <div className="jp-casa-products-head">
      <h2 title={model.path ?? ''}>
        {model.path === '' ? trans.__('Top folder') : (model.path?.split('/').pop() ?? '')}
      </h2>
      <button
        type="button"
        className="jp-casa-products-refresh"
        title={label}
        aria-label={label}
        onClick={() => void model.refresh()}
      >
        <span className="jp-casa-products-icon" data-icon="refresh" aria-hidden="true" />
      </button>
    </div>
  );
}

function StoreUse({ model, actions, trans }: Omit<IPanelProps, 'onChoice'>): ReactElement | null {
  const { store } = model;
  const id = useId();
  if (!store) {
    return null;
  }
  const { on_disk: used, budget } = store.bytes;
  const part = budget > 0 ? used / budget : used > 0 ? 1 : 0;
  const saved =
    store.saved_s >= 1
      ? trans.__(
          '%1 saved in %2.',
          duration(store.saved_s),
          trans._n('%1 restored call', '%1 restored calls', store.restored)
        )
      : '';
  const shared =
    store.bytes.versions > 1.05 * store.bytes.objects
      ? trans.__('Full copies of all versions would be %1.', size(store.bytes.versions))
      : '';
  return (
    <section className="jp-casa-products-store" aria-labelledby={id}>
      <div className="jp-casa-products-use">
        <h3 id={id}>{trans.__('Store')}</h3>
        <button type="button" className="jp-casa-products-button" onClick={actions.collect}>
          {trans.__('Make room…')}
        </button>
      </div>
      <div
        className="jp-casa-products-meter"
        role="meter"
        aria-label={trans.__('Part of the budget that versions take')}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.min(100, Math.round(100 * part))}
        aria-valuetext={percent(part)}
        data-level={part >= 1 ? 'full' : part >= 0.9 ? 'near' : 'room'}
      >
        <span style={{ width: `${String(Math.min(100, Math.max(part * 100, used > 0 ? 1 : 0)))}%` }} />
      </div>
      <p className="jp-casa-products-note" title={store.store.reason}>
        <b className="jp-casa-products-used">{trans.__('%1 of %2', size(used), size(budget))}</b>{' '}
        {[trans._n('%1 version kept.', '%1 versions kept.', store.versions), shared, saved]
          .filter(text => text)
          .join(' ')}
      </p>
      {model.near.map(limit => (
        <Near key={limit.what} limit={limit} />
      ))}
    </section>
  );
}

function Near({ limit }: { limit: INearLimit }): ReactElement {
  return (
    <p className="jp-casa-products-near" role="alert">
      <span className="jp-casa-products-icon" data-icon="warning" aria-hidden="true" />
      {limit.message}
    </p>
  );
}

/** What was done last, or what is wrong: a line, quietly. */
function Said({ model, trans }: Pick<IPanelProps, 'model' | 'trans'>): ReactElement {
  const { done, error } = model;
  let said: ReactElement | string = '';
  if (model.isBusy) {
    said = trans.__('Bringing it back …');
  } else if (done?.kind === 'trouble') {
    said = trouble(done.error, trans);
  } else if (done?.kind === 'said') {
    said = done.text;
  } else if (done?.kind === 'restored') {
    const { version, answer } = done;
    const former =
      answer.former === null || answer.path !== version.path ? null : model.version(answer.former);
    said = !answer.changed ? (
      trans.__('%1 was so already.', answer.path)
    ) : (
      <>
        {trans.__('%1 is as %2 left it.', answer.path, maker(version, trans))}{' '}
        {former?.kept === true && (
          <button type="button" className="jp-casa-link" onClick={() => void model.restore(former)}>
            {trans.__('Undo')}
          </button>
        )}
      </>
    );
  } else if (error !== null) {
    said = (
      <>
        {trouble(error, trans)}{' '}
        <button type="button" className="jp-casa-link" onClick={() => void model.refresh()}>
          {trans.__('Try again')}
        </button>
      </>
    );
  } else if (model.state === 'loading') {
    said = trans.__('Looking …');
  }
  const isTrouble = done ? done.kind === 'trouble' : error !== null;
  return (
    <div className={`jp-casa-products-said${isTrouble ? ' jp-mod-warn' : ''}`} role="status">
      {said}
    </div>
  );
}

interface ITreeProps extends IPanelProps {
  rows: readonly IChoice[];
  choice: IChoice | null;
  isOpen: (path: string) => boolean;
  isFiltered: boolean;
  select: (row: IChoice | undefined) => void;
  fold: (product: IProduct, unfold?: boolean) => void;
}

function Tree(props: ITreeProps): ReactElement {
  const { model, rows, choice, actions, isOpen, select, fold, trans } = props;
  const id = useId();
  const tree = useRef<HTMLDivElement>(null);
  const index = choice ? rows.indexOf(choice) : -1;
  const idOf = (at: number) => `${id}-${String(at)}`;
  const key = choice && keyOf(choice);
  useEffect(() => {
    tree.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' });
  }, [key]);

  const onKeyDown = (event: KeyboardEvent) => {
    const go = (at: number) => () => {
      select(rows[Math.min(Math.max(at, 0), rows.length - 1)]);
    };
    const version = choice?.version ?? null;
    const product = choice?.product ?? null;
    const keys: Record<string, (() => void) | undefined> = {
      ArrowDown: go(index + 1),
      ArrowUp: go(index - 1),
      PageDown: go(index + 10),
      PageUp: go(index - 10),
      Home: go(0),
      End: go(rows.length - 1),
      ArrowRight: () => {
        if (product && !version && !isOpen(product.path)) {
          fold(product, true);
        } else {
          go(index + 1)();
        }
      },
      ArrowLeft: () => {
        if (product && version) {
          select(rows.find(row => row.product === product && !row.version));
        } else if (product) {
          fold(product, false);
        }
      },
      Enter: () => {
        if (version) {
          actions.compare(version);
        } else if (product) {
          fold(product);
        }
      },
      r: version
        ? () => {
            actions.restore(version);
          }
        : undefined,
      c: version
        ? () => {
            actions.compare(version);
          }
        : undefined,
      f: product
        ? () => {
            actions.reveal(product.path);
          }
        : undefined,
      ContextMenu: () => {
        const box = tree.current?.querySelector('[aria-selected="true"]')?.getBoundingClientRect();
        if (box) {
          actions.menu(box.left + 24, box.bottom);
        }
      }
    };
    keys[' '] = product && !version ? keys.Enter : undefined;
    const act = keys[event.shiftKey && event.key === 'F10' ? 'ContextMenu' : event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) {
      act();
      event.preventDefault();
      event.stopPropagation();
    }
  };

  return (
    <>
      {props.isFiltered && !rows.length && (
        <p className="jp-casa-products-empty">{trans.__('No product has such a name.')}</p>
      )}
      <div
        ref={tree}
        className="jp-casa-products-tree"
        role="tree"
        tabIndex={0}
        aria-label={trans.__('Data products and their versions')}
        aria-activedescendant={index >= 0 ? idOf(index) : undefined}
        aria-keyshortcuts="Enter R C F"
        onKeyDown={onKeyDown}
        onFocus={() => {
          if (!choice) {
            select(rows[0]);
          }
        }}
      >
        {rows.map((row, at) => {
          const common = {
            id: idOf(at),
            isSelected: at === index,
            onClick: () => {
              select(row);
              if (!row.version) {
                fold(row.product);
              }
            },
            onContextMenu: (event: MouseEvent) => {
              event.preventDefault();
              select(row);
              const { clientX, clientY } = event;
              // What is chosen is told when it is drawn.
              setTimeout(() => {
                actions.menu(clientX, clientY);
              });
            },
            trans
          };
          return row.version ? (
            <VersionLine
              key={keyOf(row)}
              {...common}
              version={row.version}
              isLast={rows[at + 1]?.version == null}
            />
          ) : (
            <ProductLine
              key={keyOf(row)}
              {...common}
              product={row.product}
              stored={model.stored}
              isOpen={isOpen(row.product.path)}
            />
          );
        })}
      </div>
    </>
  );
}

interface ILineProps {
  id: string;
  isSelected: boolean;
  onClick: () => void;
  onContextMenu: (event: MouseEvent) => void;
  trans: TranslationBundle;
}

function ProductLine(
  props: ILineProps & { product: IProduct; stored: number; isOpen: boolean }
): ReactElement {
  const { product, stored, isOpen, trans } = props;
  const { path, versions, present, bytes } = product;
  const tasks = versions.map(({ task }) => task);
  const part = bytes !== null && stored > 0 ? bytes / stored : null;
  const state = present
    ? trans.__('now: %1, %2', maker(present, trans), when(present.created))
    : trans.__('not there now');
  return (
    <div
      id={props.id}
      role="treeitem"
      aria-level={1}
      aria-expanded={isOpen}
      aria-selected={props.isSelected}
      className="jp-casa-product"
      title={path}
      onClick={props.onClick}
      onContextMenu={props.onContextMenu}
    >
      <span className="jp-casa-products-icon" data-icon={isOpen ? 'open' : 'closed'} aria-hidden="true" />
      <span className="jp-casa-product-name">{path}</span>
      <span className="jp-casa-product-kind">{kindOf(path, tasks)}</span>
      <span className="jp-casa-product-sub">
        {trans._n('%1 version', '%1 versions', versions.length)} · {state}
      </span>
      <span className="jp-casa-product-size">
        {size(present?.bytes ?? versions[0]?.bytes ?? 0)}
        {part !== null && (
          <span
            className="jp-casa-product-share"
            title={trans.__('%1 of what the store holds (%2)', percent(part), size(bytes ?? 0))}
          >
            <span className="jp-casa-product-bar" aria-hidden="true">
              <span style={{ width: `${String(100 * Math.min(1, part))}%` }} />
            </span>
            {percent(part)}
          </span>
        )}
      </span>
    </div>
  );
}

function VersionLine(props: ILineProps & { version: IVersionRow; isLast: boolean }): ReactElement {
  const { version, trans } = props;
  const state = version.present ? 'present' : version.kept ? 'kept' : 'gone';
  const tag = {
    present: trans.__('now'),
    kept: '',
    gone: trans.__('not kept')
  }[state];
  return (
    <div
      id={props.id}
      role="treeitem"
      aria-level={2}
      aria-selected={props.isSelected}
      className="jp-casa-version"
      data-state={state}
      data-last={props.isLast}
      onClick={props.onClick}
      onContextMenu={props.onContextMenu}
    >
      <span className="jp-casa-version-line" aria-hidden="true" />
      <span className="jp-casa-version-maker" data-raw={version.task === null}>
        {maker(version, trans)}
      </span>
      {tag !== '' && <span className="jp-casa-version-tag">{tag}</span>}
      <span className="jp-casa-version-when">{when(version.created)}</span>
      <span className="jp-casa-version-size">{size(version.bytes)}</span>
    </div>
  );
}

function Details(props: Omit<IPanelProps, 'onChoice'> & { choice: IChoice }): ReactElement {
  const { choice, model, actions, trans } = props;
  const { product, version } = choice;
  const id = useId();
  const newest = product.versions[0];
  const button = (label: string, act: () => void, whyNot = '', primary = false) => (
    <button
      type="button"
      className={`jp-casa-products-button${primary ? ' jp-mod-primary' : ''}`}
      aria-disabled={whyNot !== ''}
      title={whyNot}
      onClick={() => {
        if (whyNot === '') {
          act();
        }
      }}
    >
      {label}
    </button>
  );
  const busy = model.isBusy ? trans.__('Another version is being brought back.') : '';
  const reveal = button(trans.__('Show in files'), () => {
    actions.reveal(product.path);
  });
  const target = version ?? product.present ?? newest;
  const compare = target && model.partner(target);
  const compareButton =
    target &&
    button(
      trans.__('Compare'),
      () => {
        actions.compare(target);
      },
      compare ? '' : trans.__('There is no other version.')
    );
  if (!version) {
    const bytes = product.bytes === null ? '' : trans.__('%1 of the store.', size(product.bytes));
    return (
      <section className="jp-casa-products-details" aria-labelledby={id}>
        <h3 id={id}>{product.path}</h3>
        <p>
          {trans._n('%1 version', '%1 versions', product.versions.length)}:{' '}
          {listed(
            product.versions
              .map(one => maker(one, trans))
              .filter((name, at, all) => all.indexOf(name) === at),
            trans,
            4
          )}
          . {bytes}
        </p>
        <div className="jp-casa-products-buttons">
          {compareButton}
          {reveal}
        </div>
      </section>
    );
  }
  const notKept = version.kept ? '' : trans.__('The store does not hold it: run its call again.');
  const lines = [
    version.task !== null
      ? trans.__('Made by %1, %2.', version.task, when(version.created))
      : trans.__('First seen %1: raw data, or changed outside of notebooks.', when(version.created)),
    version.present ? trans.__('It is what lies there now.') : '',
    version.also.length ? trans.__('It lies at %1, too.', listed(version.also, trans)) : '',
    version.alone === null
      ? notKept
      : version.alone === 0
        ? trans.__('It shares all its files with other versions.')
        : trans.__('%1 of its %2 are stored for it alone.', size(version.alone), size(version.bytes))
  ];
  return (
    <section className="jp-casa-products-details" aria-labelledby={id}>
      <h3 id={id}>{trans.__('%1, version %2', product.path, version.number)}</h3>
      <p>{lines.filter(line => line).join(' ')}</p>
      <div className="jp-casa-products-buttons">
        {button(
          trans.__('Restore'),
          () => {
            actions.restore(version);
          },
          version.present ? trans.__('It is what lies there now.') : notKept || busy,
          !version.present && notKept === ''
        )}
        {compareButton}
        {button(
          trans.__('Restore as…'),
          () => {
            actions.restoreAs(version);
          },
          notKept || busy
        )}
        {reveal}
      </div>
    </section>
  );
}
