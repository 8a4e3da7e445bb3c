/** The graph of the notebook in front: what is asked of the server, and how it is to be drawn. */
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import type { ICellMark, NotebookState } from '../notebook/model';
import { type CasaServer, CasaServerError } from '../server/client';
import type { IGraph, IGraphCell, IPlan } from '../server/types';
import {
  along,
  byCells,
  diagramOf,
  type IChain,
  type IDiagram,
  type INode,
  type ISection,
  type Level,
  longestChain,
  search
} from './model';

/** What is known anew: what is drawn; what is known of it; what was looked for, or where the user is. */
export type Change = 'diagram' | 'marks' | 'found' | 'active';

/** The notebook whose graph is shown. */
export interface ISubject {
  readonly state: Pick<NotebookState, 'path' | 'kernel' | 'plan' | 'trouble' | 'changed' | 'mark' | 'posted'>;
  /** What its headings tell. */
  sections(): ISection[];
}

/** Milliseconds after which the graph is asked for again, when something has changed. */
const WAIT_MS = 150;
/** The same, when the server has too much to do, or is away. */
const RETRY_MS = 3000;

/** How the graph is drawn. */
export interface IGraphOptions {
  level: Level;
  /** Whether Python names are drawn. */
  names: boolean;
  /** Whether the longest chain is shown. */
  chain: boolean;
}

const NOTHING: IDiagram = { level: 'cells', nodes: [], edges: [] };

/** The graph of the notebook in front. */
export class GraphState implements IDisposable {
  /** @param _server - Knows graphs. */
  constructor(private readonly _server: Pick<CasaServer, 'graph'>) {}

  /** Something is known anew. */
  get changed(): ISignal<this, Change> {
    return this._changed;
  }

  /** The notebook; null: there is none. */
  get subject(): ISubject | null {
    return this._subject;
  }

  set subject(subject: ISubject | null) {
    if (subject?.state === this._subject?.state) {
      return;
    }
    this._subject?.state.changed.disconnect(this._onState);
    this._subject = subject;
    [this._graph, this._trouble, this._active] = [null, null, null];
    this._plan = subject?.state.plan ?? null;
    subject?.state.changed.connect(this._onState);
    this._renew();
    if (subject) {
      this._schedule(0);
    }
  }

  /** Nothing is asked for while nobody looks. */
  get isVisible(): boolean {
    return this._isVisible;
  }

  set isVisible(visible: boolean) {
    this._isVisible = visible;
    if (visible && this._due) {
      this._schedule(0);
    }
  }

  get options(): Readonly<IGraphOptions> {
    return this._options;
  }

  /** Draws it otherwise. */
  set(options: Partial<IGraphOptions>): void {
    const former = this._options;
    this._options = { ...former, ...options };
    if (JSON.stringify(former) !== JSON.stringify(this._options)) {
      this._renew();
    }
  }

  /** What the server told last; null: nothing. */
  get graph(): IGraph | null {
    return this._graph;
  }

  /** Why nothing newer is known; null: all is well. */
  get trouble(): CasaServerError | null {
    return this._trouble;
  }

  get diagram(): IDiagram {
    return this._diagram;
  }

  /** Whether the notebook has headings. */
  get hasSections(): boolean {
    return this._sections.length > 0;
  }

  /** The cells that take longest one after another; empty: nobody knows how long anything takes. */
  get chain(): IChain {
    return this._chain;
  }

  /** The part of what is drawn that belongs to the longest chain, if it is shown. */
  get chained(): { readonly nodes: ReadonlySet<string>; readonly edges: ReadonlySet<string> } {
    return this._chained;
  }

  /** What is looked for. */
  get query(): string {
    return this._query;
  }

  set query(query: string) {
    this._query = query;
    this._find();
    this._changed.emit('found');
  }

  /** The nodes in which that is. */
  get found(): ReadonlySet<string> {
    return this._found;
  }

  /** The cell in which the user is, in the notebook. */
  get active(): string | null {
    return this._active;
  }

  set active(cell: string | null) {
    if (cell !== this._active) {
      this._active = cell;
      this._changed.emit('active');
    }
  }

  /** The node that stands for a cell. */
  home(cell: string | null): INode | null {
    return cell === null ? null : (this._homes.get(cell) ?? null);
  }

  /** What is known of a cell. */
  mark(cell: IGraphCell): ICellMark {
    return this._subject?.state.mark(cell.id) ?? { mark: cell.state, plan: null };
  }

  /** Seconds that a cell takes when it runs: what is foreseen, else what it took. */
  seconds(cell: IGraphCell): number {
    const plan = this._subject?.state.mark(cell.id)?.plan;
    return plan && plan.estimate_s > 0 ? plan.estimate_s : cell.seconds;
  }

  /** The text of a cell. */
  source(cell: string): string {
    return this._sources.get(cell) ?? '';
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    this._subject?.state.changed.disconnect(this._onState);
    clearTimeout(this._timer);
    Signal.clearData(this);
  }

  private readonly _onState = (): void => {
    const { plan = null, trouble = null } = this._subject?.state ?? {};
    if (plan !== this._plan) {
      this._plan = plan;
      this._schedule(this._graph ? WAIT_MS : 0);
      this._measure();
    } else if (plan === null && trouble !== this._trouble && !this._asking) {
      this._trouble = trouble;
    }
    this._changed.emit('marks');
  };

  private _schedule(wait: number): void {
    this._due = true;
    clearTimeout(this._timer);
    if (this._isVisible && !this._isDisposed) {
      const ask = () => {
        if (!this._asking) {
          void this._ask();
        }
      };
      if (wait) {
        this._timer = setTimeout(ask, wait);
      } else {
        ask(); // on its way while the panel is put into its place
      }
    }
  }

  /** Asks for the graph. Never fails. */
  private async _ask(): Promise<void> {
    const subject = this._subject;
    if (!subject) {
      return;
    }
    [this._asking, this._due] = [true, false];
    let retry = false;
    const posted = subject.state.posted();
    let graph: IGraph | null = null;
    let trouble: CasaServerError | null = null;
    try {
      graph = await this._server.graph(subject.state.path, posted, subject.state.kernel);
    } catch (error) {
      trouble = error instanceof CasaServerError ? error : new CasaServerError('refused', String(error));
      retry = trouble.trouble === 'busy' || trouble.trouble === 'offline';
    }
    this._asking = false;
    if (this._isDisposed) {
      return;
    }
    if (subject === this._subject) {
      this._trouble = trouble;
      if (graph) {
        this._graph = graph;
        this._sources = new Map(posted.map(({ id, source }) => [id, source]));
      }
      this._renew();
    } else {
      this._due = this._subject !== null;
    }
    if (this._due) {
      this._schedule(0);
    } else if (retry) {
      this._schedule(RETRY_MS);
    }
  }

  private _renew(): void {
    this._sections = this._subject?.sections() ?? [];
    const level = this._options.level === 'sections' && !this.hasSections ? 'cells' : this._options.level;
    const { _graph: graph, _sections: sections } = this;
    this._diagram = graph ? diagramOf(graph, { level, names: this._options.names, sections }) : NOTHING;
    this._homes = new Map(
      this._diagram.nodes
        .filter(({ kind }) => kind !== 'product')
        .flatMap(node => node.cells.map(({ id }) => [id, node] as const))
    );
    this._find();
    this._measure();
    this._changed.emit('diagram');
  }

  private _find(): void {
    this._found = search(this._diagram, this._query, cell => this.source(cell));
  }

  private _measure(): void {
    const { _graph: graph } = this;
    if (graph) {
      const cells = new Map(graph.cells.map(cell => [cell.id, cell]));
      this._chain = longestChain(byCells(graph), id => {
        const cell = cells.get(id);
        return cell ? this.seconds(cell) : 0;
      });
    } else {
      this._chain = { cells: [], seconds: 0 };
    }
    this._chained = this._options.chain
      ? along(this._diagram, this._chain)
      : { nodes: new Set<string>(), edges: new Set<string>() };
  }

  private readonly _changed = new Signal<this, Change>(this);
  private _options: IGraphOptions = { level: 'cells', names: true, chain: false };
  private _subject: ISubject | null = null;
  private _sections: ISection[] = [];
  private _sources = new Map<string, string>();
  private _homes = new Map<string, INode>();
  private _graph: IGraph | null = null;
  private _plan: IPlan | null = null;
  private _trouble: CasaServerError | null = null;
  private _diagram = NOTHING;
  private _chain: IChain = { cells: [], seconds: 0 };
  private _chained: { nodes: Set<string>; edges: Set<string> } = { nodes: new Set(), edges: new Set() };
  private _query = '';
  private _found = new Set<string>();
  private _active: string | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _isVisible = false;
  private _asking = false;
  private _due = false;
  private _isDisposed = false;
}
