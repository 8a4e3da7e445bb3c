/** The graph panel: a tool bar, the graph, and how it is with the whole. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { caretDownEmptyIcon, downloadIcon, MenuSvg } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import { Widget } from '@lumino/widgets';
import { graphIcon } from '../icons';
import { element } from '../notebook/hover';
import { roughly } from '../notebook/words';
import type { Direction, ILayoutRequest } from './layout';
import type { Layouts } from './layouts';
import type { IDiagram, Level } from './model';
import type { Change, GraphState, IGraphOptions } from './state';
import { GraphView } from './view';
import { summaryOf } from './words';

/** What the panel needs. */
export interface IGraphPanelOptions {
  readonly state: GraphState;
  readonly layouts: Layouts;
  readonly trans: TranslationBundle;
  readonly commands: CommandRegistry;
  /** Commands of the menu that writes files. */
  readonly exports: readonly string[];
  /** Goes to a cell; `enter`: the keyboard, too. */
  open(cell: string, enter: boolean): void;
  /** Why there is no graph, if there is a reason beyond what the state knows. */
  explain(): string;
  /** Remembers how the user wants it drawn. */
  remember(options: { level: Level; names: boolean; direction: Direction }): void;
}

/** Steps of the zoom buttons. */
const ZOOM = 1.25;
/** Pixels around an exported picture. */
const MARGIN = 24;

/** The graph panel. */
export class GraphPanel extends Widget {
  constructor(private readonly _options: IGraphPanelOptions) {
    super();
    const { state, trans } = _options;
    this.id = 'jupyterlab-casa-graph';
    this.addClass('jp-casa-graph');
    this.title.label = trans.__('CASA graph');
    this.title.caption = trans.__('Cells, calls and data products of the notebook');
    this.title.icon = graphIcon;
    this.title.closable = true;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', this.title.caption);
    this._view = new GraphView(state, trans, (cell, enter) => {
      _options.open(cell, enter);
    });
    this._view.onScale = () => {
      this._zoom.textContent = `${String(Math.round(this._view.scale * 100))} %`;
    };
    this._said.setAttribute('role', 'status');
    this._count.setAttribute('role', 'status');
    this._view.node.append(this._empty);
    this.node.append(this._bar(), this._view.node, this._foot());
    state.changed.connect(this._onChanged);
    this._onChanged(state, 'diagram');
  }

  /** Which way the story goes. */
  get direction(): Direction {
    return this._direction;
  }

  set direction(direction: Direction) {
    if (direction !== this._direction) {
      this._direction = direction;
      this._press();
      void this._draw(true);
    }
  }

  /** Something that the state does not know has changed: there is another reason why there is no graph. */
  refresh(): void {
    this._onChanged(this._options.state, 'marks');
  }

  /** Asks for what is to be looked for. */
  search(): void {
    this._search.focus();
    this._search.select();
  }

  /** Brings the active cell into sight. */
  reveal(): void {
    const { state } = this._options;
    const node = state.home(state.active);
    if (node && !this._view.node.contains(document.activeElement)) {
      this._view.go(node.id, false);
    }
  }

  /** What has been drawn, as a picture that is not in the page; null: nothing. */
  picture(): SVGSVGElement | null {
    return this._view.picture(MARGIN);
  }

  dispose(): void {
    if (!this.isDisposed) {
      this._options.state.isVisible = false;
      this._options.state.changed.disconnect(this._onChanged);
      this._options.layouts.dispose();
      this._view.dispose();
      this._sizes.disconnect();
      super.dispose();
    }
  }

  protected onAfterAttach(): void {
    this._sizes.observe(this._view.node);
    document.addEventListener('visibilitychange', this._onVisible);
    this._onVisible();
  }

  protected onBeforeDetach(): void {
    this._sizes.disconnect();
    document.removeEventListener('visibilitychange', this._onVisible);
  }

  protected onAfterShow(): void {
    this._onVisible();
  }

  protected onAfterHide(): void {
    this._onVisible();
  }

  protected onActivateRequest(): void {
    if (!this.node.contains(document.activeElement)) {
      this._view.focus();
    }
  }

  private readonly _onVisible = (): void => {
    this._options.state.isVisible = this.isVisible && !document.hidden;
    if (this.isVisible && this._late) {
      this._late = false;
      void this._draw(false);
    }
  };

  private readonly _onChanged = (state: GraphState, change: Change): void => {
    if (change === 'diagram') {
      void this._draw(false);
    } else {
      this._view.update();
    }
    if (change === 'active') {
      this.reveal();
      return;
    }
    this._say(state);
  };

  /** Lays the graph out, if it is another one, and shows it. */
  private async _draw(turned: boolean): Promise<void> {
    const { state, layouts } = this._options;
    const { diagram } = state;
    if (!diagram.nodes.length) {
      this._shown = '';
      this._view.clear();
      return;
    }
    if (!this.isVisible) {
      this._late = true;
      return;
    }
    const request = this._view.request(this._direction);
    // Where it is shown beside the notebook has no say in whether it is another graph.
    const shape = JSON.stringify([
      diagram.nodes.map(({ id, title }) => [id, title]),
      diagram.edges,
      request.boxes
    ]);
    if (shape === this._shown && !turned) {
      this._view.update();
      return;
    }
    this._shown = shape;
    const layout = await layouts.layOut(request);
    if (layout && !this.isDisposed && diagram === state.diagram) {
      this._show(diagram, request, layout);
    } else if (!this.isDisposed && this._shown === shape) {
      this._shown = '';
      if (layout) {
        void this._draw(true);
      }
    }
  }

  private _show(
    diagram: IDiagram,
    request: ILayoutRequest,
    layout: NonNullable<Awaited<ReturnType<Layouts['layOut']>>>
  ): void {
    this._view.show(diagram, request, layout);
    this._say(this._options.state);
    performance.mark('jupyterlab-casa:graph-shown');
  }

  // -- what stands around it ----------------------------------------------------------------------------------------

  private _bar(): HTMLElement {
    const { state, trans } = this._options;
    const bar = element('div', 'jp-casa-graph-bar');
    bar.setAttribute('role', 'toolbar');
    bar.setAttribute('aria-label', trans.__('How the graph is drawn'));
    this._names = this._button(trans.__('Names'), trans.__('Python names that pass between cells'), () => {
      this._choose({ names: !state.options.names });
    });
    this._chain = this._button(
      trans.__('Longest chain'),
      trans.__('The cells that take longest one after another: no run of the notebook can be faster'),
      () => {
        this._choose({ chain: !state.options.chain });
      }
    );
    this._turn = this._sign('', trans.__('Draw it from left to right, or from the top down'), () => {
      this.direction = this._direction === 'down' ? 'right' : 'down';
      this._choose({});
    });
    const end = element('div', 'jp-casa-graph-end');
    end.append(this._zooms(), this._turn, this._save());
    bar.append(this._levelButtons(), this._names, this._chain, this._find(), end);
    this._press();
    return bar;
  }

  private _levelButtons(): HTMLElement {
    const { trans } = this._options;
    const group = element('div', 'jp-casa-graph-levels');
    group.setAttribute('role', 'radiogroup');
    group.setAttribute('aria-label', trans.__('What is drawn'));
    const names = [
      ['sections', trans.__('Sections')],
      ['cells', trans.__('Cells')],
      ['products', trans.__('Products')]
    ] as const;
    for (const [level, name] of names) {
      const button = this._button(name, '', () => {
        this._choose({ level });
      });
      button.setAttribute('role', 'radio');
      this._levels.set(level, button);
      group.append(button);
    }
    group.addEventListener('keydown', this._onLevelKey);
    return group;
  }

  private _find(): HTMLElement {
    const { state, trans } = this._options;
    this._search.type = 'search';
    this._search.placeholder = trans.__('Search');
    this._search.setAttribute('aria-label', trans.__('Search cells, tasks and products'));
    this._search.addEventListener('input', () => {
      state.query = this._search.value;
      this._at = 0;
      this._step(0, false);
    });
    this._search.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        this._step(event.shiftKey ? -1 : 1, false);
      } else if (event.key === 'ArrowDown') {
        this._step(0, true);
      } else if (event.key === 'Escape' && this._search.value) {
        this._search.value = state.query = '';
      } else {
        return;
      }
      event.preventDefault();
      event.stopPropagation();
    });
    const find = element('div', 'jp-casa-graph-find');
    find.append(this._search, this._count);
    return find;
  }

  private _zooms(): HTMLElement {
    const { trans } = this._options;
    const zooms = element('div', 'jp-casa-graph-zooms');
    this._zoom.setAttribute('aria-hidden', 'true');
    zooms.append(
      this._sign('−', trans.__('Smaller (-)'), () => {
        this._view.zoom(1 / ZOOM);
      }),
      this._zoom,
      this._sign('+', trans.__('Larger (+)'), () => {
        this._view.zoom(ZOOM);
      }),
      this._sign(trans.__('Fit'), trans.__('Fit: show all of it (0)'), () => {
        this._view.fit();
      })
    );
    return zooms;
  }

  /** Opens the menu that writes files. */
  private _save(): HTMLElement {
    const { trans, commands, exports } = this._options;
    const save = this._sign('', trans.__('Save the graph as a file'), () => {
      const menu = new MenuSvg({ commands });
      exports.forEach(command => menu.addItem({ command }));
      menu.aboutToClose.connect(() => {
        requestAnimationFrame(() => {
          save.focus();
        });
      });
      const { left, bottom } = save.getBoundingClientRect();
      menu.open(left, bottom);
    });
    save.setAttribute('aria-haspopup', 'menu');
    downloadIcon.element({ container: save });
    save.append(caretDownEmptyIcon.element({ tag: 'span' }));
    return save;
  }

  /** Draws it otherwise, and remembers that. */
  private _choose(options: Partial<IGraphOptions>): void {
    const { state } = this._options;
    state.set(options);
    this._options.remember({
      level: state.options.level,
      names: state.options.names,
      direction: this._direction
    });
    this._press();
  }

  private _button(label: string, title: string, act: () => void): HTMLButtonElement {
    const button = element('button', 'jp-casa-graph-button', label);
    button.type = 'button';
    button.title = title;
    button.addEventListener('click', act);
    return button;
  }

  /** A button whose label says little. */
  private _sign(label: string, title: string, act: () => void): HTMLButtonElement {
    const button = this._button(label, title, act);
    button.setAttribute('aria-label', title);
    return button;
  }

  /** What is pressed. */
  private _press(): void {
    const { state } = this._options;
    const level = state.options.level === 'sections' && !state.hasSections ? 'cells' : state.options.level;
    for (const [of, button] of this._levels) {
      button.setAttribute('aria-checked', String(of === level));
      button.tabIndex = of === level ? 0 : -1;
      button.disabled = of === 'sections' && !state.hasSections;
    }
    this._names?.setAttribute('aria-pressed', String(state.options.names));
    this._chain?.setAttribute('aria-pressed', String(state.options.chain));
    if (this._turn) {
      this._turn.setAttribute('aria-pressed', String(this._direction === 'right'));
      this._turn.textContent = this._direction === 'right' ? '→' : '↓';
    }
  }

  /** Arrow keys choose among levels, as radio buttons have it. */
  private readonly _onLevelKey = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const open = [...this._levels.values()].filter(button => !button.disabled);
    const at = open.findIndex(button => button === event.target);
    if (by !== undefined && at >= 0) {
      const next = open[(at + by + open.length) % open.length];
      next?.click();
      next?.focus();
      event.preventDefault();
    }
  };

  private _foot(): HTMLElement {
    const foot = element('div', 'jp-casa-graph-foot');
    foot.append(this._summary, this._longest);
    return foot;
  }

  /** Goes to the next node that was found, or the one before; 0: to the same. */
  private _step(by: number, focus: boolean): void {
    const { state } = this._options;
    const found = state.diagram.nodes.filter(({ id }) => state.found.has(id));
    this._at = found.length ? (this._at + by + found.length) % found.length : 0;
    const node = found[this._at];
    if (node) {
      this._view.go(node.id, focus);
    }
    this._sayFound();
  }

  /** Which of how many nodes that were found. */
  private _sayFound(): void {
    const { state, trans } = this._options;
    const { size } = state.found;
    this._at = Math.min(this._at, Math.max(0, size - 1));
    const place = size ? trans.__('%1 of %2', this._at + 1, size) : trans.__('nothing found');
    this._count.textContent = state.query.trim() ? place : '';
  }

  private _say(state: GraphState): void {
    const { trans } = this._options;
    const { graph, trouble, chain, diagram } = state;
    this._press();
    const why = graph && diagram.nodes.length ? '' : this._options.explain() || this._why(state);
    if (this._said.textContent !== why) {
      this._said.textContent = why;
    }
    this._empty.hidden = why === '';
    this.node.dataset.empty = String(why !== '');
    const summary = graph?.cells.length ? summaryOf(state, trans) : '';
    const old = graph && trouble ? trans.__('Not up to date: %1', trouble.message) : '';
    const never =
      graph?.cells.length && !graph.edges.length
        ? trans.__('What they use and make is known once they have run.')
        : '';
    this._summary.textContent = [summary, never, old].filter(Boolean).join(' · ');
    this._longest.textContent =
      chain.seconds >= 0.05
        ? trans.__(
            'Longest chain: %1, %2',
            trans._n('%1 cell', '%1 cells', chain.cells.length),
            roughly(chain.seconds)
          )
        : '';
    if (this._chain) {
      this._chain.disabled = chain.seconds < 0.05;
    }
    this._sayFound();
  }

  /** Why there is nothing to be drawn. */
  private _why({ graph, trouble }: GraphState): string {
    const { trans } = this._options;
    if (graph) {
      return trans.__('The notebook has no cells with code yet.');
    }
    if (trouble) {
      return trouble.trouble === 'offline'
        ? trans.__('The server cannot be reached.')
        : trans.__('There is no graph of this notebook: %1', trouble.message);
    }
    return trans.__('Looking what depends on what …');
  }

  private readonly _view: GraphView;
  private readonly _levels = new Map<Level, HTMLButtonElement>();
  private readonly _search = element('input', 'jp-casa-graph-search');
  private readonly _count = element('span', 'jp-casa-graph-count');
  private readonly _zoom = element('span', 'jp-casa-graph-zoom', '100 %');
  private readonly _said = element('p', 'jp-casa-graph-said');
  private readonly _empty = wrap(this._said);
  private readonly _summary = element('span', 'jp-casa-graph-summary');
  private readonly _longest = element('span', 'jp-casa-graph-longest');
  private readonly _sizes = new ResizeObserver(() => {
    this._view.resize();
  });
  private _names: HTMLButtonElement | null = null;
  private _chain: HTMLButtonElement | null = null;
  private _turn: HTMLButtonElement | null = null;
  private _direction: Direction = 'down';
  /** What is laid out. */
  private _shown = '';
  /** It was to be drawn while nobody looked. */
  private _late = false;
  /** Which of the nodes that were found. */
  private _at = 0;
}

function wrap(child: HTMLElement): HTMLElement {
  const box = element('div', 'jp-casa-graph-empty');
  box.append(child);
  return box;
}
