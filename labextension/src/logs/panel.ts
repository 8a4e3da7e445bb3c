/** The log panel: what is shown, the lines, and what is to be said when there are none. */
import { PathExt } from '@jupyterlab/coreutils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { PanelLayout, Widget } from '@lumino/widgets';
import { type Level, LEVELS } from '../log/model';
import { element } from '../notebook/hover';
import type { ServerCondition } from '../server/condition';
import type { ILogCall, ILogSummary } from '../server/types';
import { LogList } from './list';
import { EVERYTHING, type IFilter, type LogModel, TOOLS } from './model';
import * as words from './words';

/** Milliseconds after the last key until it is looked for what was typed. */
const TYPED_MS = 250;
/** Lines that are copied at most: clipboards are no files. */
const COPIED = 20_000;
/** Milliseconds for which it is said what has been done. */
const SAID_MS = 6000;

/** What the panel cannot know by itself. */
export interface ILogHost {
  /** What the cell of a call is called; empty: it has none. */
  cellName(call: ILogCall): string;
  /** What a cell of the notebook is called; empty: there is no such cell. */
  nameOfCell(id: string): string;
  /** Goes to the cell of a call. */
  openCell(call: ILogCall): void;
  /** The id of the active cell; null: there is none. */
  activeCell(): string | null;
  /** Puts a text where it can be pasted from. */
  copy(text: string): Promise<void>;
  /** Saves the log of the session that is shown as a file. */
  download(): void;
  /** Why there can be no log: the notebook's kernel is none of ours, for example; empty: there can be one. */
  obstacle(): string;
}

/** The log panel. */
export class LogPanel extends Widget {
  constructor(
    readonly model: LogModel,
    private readonly _server: Pick<ServerCondition, 'condition' | 'version' | 'serverVersion' | 'changed'>,
    private readonly _host: ILogHost,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-casa-logs');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _trans.__('CASA log'));
    this.list = new LogList(
      model,
      {
        cellName: call => _host.cellName(call),
        openCell: call => {
          _host.openCell(call);
        },
        copy: () => void this.copy()
      },
      _trans
    );
    const layout = new PanelLayout();
    this.layout = layout;
    const [bar, said] = [new Widget({ node: this._bar }), new Widget({ node: this._said })];
    bar.addClass('jp-casa-logs-bar');
    for (const widget of [bar, said, this.list]) {
      layout.addWidget(widget);
    }
    this._empty.setAttribute('role', 'status');
    this.list.node.append(this._empty, this._newest);
    this._said.setAttribute('role', 'status');
    this._buildBar();
    model.changed.connect(this._onChanged);
    this.list.moved.connect(this._onChanged);
    _server.changed.connect(this._onChanged);
    this._draw();
  }

  /** The lines. */
  readonly list: LogList;

  /** Whether the lines of the active cell are brought into sight. */
  get followsCell(): boolean {
    return this._followsCell;
  }

  set followsCell(follow: boolean) {
    this._followsCell = follow;
    this.cellChanged();
  }

  /** Another cell is active, or the same one again. */
  cellChanged(): void {
    const cell = this._host.activeCell();
    if (this._followsCell && cell !== null) {
      if (this.model.filter.cell !== null) {
        this._change({ cell });
      }
      this.showCell(cell);
    }
    this._draw();
  }

  /**
   * Brings what the last call of a cell has written into sight.
   *
   * @returns whether there is anything.
   */
  showCell(cell: string): boolean {
    const { model } = this;
    const { filter } = model;
    const part = model.partsOf(cell).at(-1);
    if (!part?.lines) {
      return false;
    }
    const other = filter.call !== null && model.call(filter.call)?.cell !== cell;
    if (other || (filter.cell !== null && filter.cell !== cell)) {
      this._change({ cell: null, call: null });
    }
    this.list.goTo(part.first, true);
    return true;
  }

  /** Brings the last error of its last call into sight, or if it has written none, its last line; as {@link showCell}. */
  async showError(cell: string): Promise<boolean> {
    const part = this.model.partsOf(cell).at(-1);
    if (!part?.lines) {
      return false;
    }
    const error = await this.model.lastError(part.call);
    this.model.filter = EVERYTHING;
    this.list.goTo(error ?? part.first + part.lines - 1);
    return true;
  }

  /** Copies the lines that are selected; if none are, all that are shown. */
  async copy(): Promise<void> {
    const trans = this._trans;
    const [first, end] = this.list.selected;
    const all = end - first < 1;
    const [from, to] = all ? [0, this.model.rows.lines] : [first, end];
    if (to - from > COPIED) {
      this.say(
        trans.__('These are more than %1 lines: select fewer, or download the log.', words.grouped(COPIED))
      );
      return;
    }
    const lines = await this.model.fetch(from, to);
    if (!lines) {
      this.say(trans.__('Not all of these lines can be had just now.'));
    } else if (lines.length) {
      await this._host.copy(lines.map(line => `${words.plain(line)}\n`).join(''));
      this.say(trans.__('Copied: %1', words.lines(lines.length, trans)));
    }
  }

  /** Says something for a while. */
  say(text: string): void {
    clearTimeout(this._saidTimer);
    this._note = text;
    this._saidTimer = setTimeout(() => {
      this._note = '';
      this._draw();
    }, SAID_MS);
    this._draw();
  }

  /** Puts the cursor where one types what is looked for. */
  focusSearch(): void {
    this._search.focus();
    this._search.select();
  }

  dispose(): void {
    clearTimeout(this._saidTimer);
    clearTimeout(this._typing);
    this._server.changed.disconnect(this._onChanged);
    this.model.dispose();
    super.dispose();
  }

  protected onAfterShow(): void {
    this.model.isActive = true;
  }

  protected onAfterAttach(): void {
    this.model.isActive = this.isVisible;
  }

  protected onBeforeHide(): void {
    this.model.isActive = false;
  }

  protected onBeforeDetach(): void {
    this.model.isActive = false;
  }

  protected onActivateRequest(): void {
    this.list.activate();
  }

  // -- the bar ------------------------------------------------------------------------------------------------------

  private _buildBar(): void {
    const { _trans: trans, model } = this;
    const { _sessions: sessions, _search: search } = this;
    sessions.setAttribute('aria-label', trans.__('Session whose log is shown'));
    sessions.addEventListener('change', () => {
      model.choice = sessions.value || null;
    });
    const levels = element('div', 'jp-casa-logs-levels');
    levels.setAttribute('role', 'group');
    levels.setAttribute('aria-label', trans.__('Priorities'));
    for (const level of [...LEVELS].reverse()) {
      const button = element('button', 'jp-casa-logs-level');
      button.dataset.level = level;
      button.addEventListener('click', ({ shiftKey, altKey }) => {
        this._toggleLevel(level, shiftKey || altKey);
      });
      button.title = trans.__('Show or hide these lines; with Shift, show no others');
      this._levels.set(level, button);
      levels.append(button);
    }
    search.type = 'search';
    search.placeholder = trans.__('Search');
    search.setAttribute('aria-label', trans.__('Text that is looked for in the log'));
    search.spellcheck = false;
    search.addEventListener('input', () => {
      clearTimeout(this._typing);
      this._typing = setTimeout(() => {
        this._setText();
      }, TYPED_MS);
    });
    search.addEventListener('change', () => {
      this._setText(); // somebody goes elsewhere
    });
    search.addEventListener('keydown', event => {
      if (event.key === 'Enter') {
        event.preventDefault();
        this._setText();
        void this._find(event.shiftKey);
      } else if (event.key === 'Escape' && search.value !== '') {
        event.stopPropagation();
        search.value = '';
        this._setText();
      } else if (event.key === 'ArrowDown') {
        event.preventDefault();
        this.list.activate();
      }
    });
    this.node.addEventListener('keydown', event => {
      if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key === 'f') {
        event.preventDefault();
        event.stopPropagation();
        this.focusSearch();
      } else if (event.key === 'F3') {
        event.preventDefault();
        void this._find(event.shiftKey);
      }
    });
    const box = element('div', 'jp-casa-logs-search');
    box.append(search, this._regex, this._previous, this._next);
    dress(this._regex, 'regex', trans.__('Regular expression (RE2)'));
    dress(this._previous, 'up', trans.__('Previous line that matches (Shift+Enter)'));
    dress(this._next, 'down', trans.__('Next line that matches (Enter)'));
    this._regex.addEventListener('click', () => {
      this._change({ regex: !model.filter.regex });
    });
    this._previous.addEventListener('click', () => void this._find(true));
    this._next.addEventListener('click', () => void this._find(false));
    this._only.textContent = trans.__('Only matches');
    this._only.title = trans.__('Hide the lines that do not match');
    this._only.addEventListener('click', () => {
      this._change({ only: !model.filter.only });
    });
    this._cell.addEventListener('click', () => {
      const { filter } = model;
      const cell = filter.cell === null && filter.call === null ? this._host.activeCell() : null;
      this._change({ cell, call: null });
    });
    this._follow.textContent = trans.__('Follow cell');
    this._follow.title = trans.__('Bring the lines of the active cell into sight');
    this._follow.addEventListener('click', () => {
      this.followsCell = !this.followsCell;
    });
    this._group.textContent = trans.__('Group');
    this._group.title = trans.__('Put a heading above the lines of each call');
    this._group.addEventListener('click', () => {
      model.grouped = !model.grouped;
    });
    dress(this._copy, 'copy', trans.__('Copy the selected lines, or all that are shown'));
    dress(this._download, 'download', trans.__('Download the whole log'));
    this._copy.addEventListener('click', () => void this.copy());
    this._download.addEventListener('click', () => {
      this._host.download();
    });
    this._newest.textContent = trans.__('Newest lines');
    this._newest.title = trans.__('Go to the end, and stay there (End)');
    this._newest.addEventListener('click', () => {
      this.list.isFollowing = true;
      this.list.activate();
    });
    const right = element('div', 'jp-casa-logs-right');
    right.append(this._count, this._copy, this._download);
    this._bar.setAttribute('role', 'toolbar');
    this._bar.setAttribute('aria-label', trans.__('Which lines of the CASA log are shown'));
    this._bar.append(sessions, levels, box, this._only, this._cell, this._follow, this._group, right);
    for (const button of this.node.querySelectorAll('button')) {
      button.type = 'button';
    }
  }

  private _change(part: Partial<IFilter>): void {
    this.model.filter = { ...this.model.filter, ...part };
  }

  private _setText(): void {
    clearTimeout(this._typing);
    const text = this._search.value;
    if (text !== this.model.filter.text) {
      this._change({ text });
    }
  }

  private _toggleLevel(level: Level, alone: boolean): void {
    const { levels } = this.model.filter;
    const others = new Set(levels);
    if (!others.delete(level)) {
      others.add(level);
    }
    const only = alone && !(levels.size === 1 && levels.has(level)) ? new Set([level]) : null;
    this._change({ levels: only ?? (alone ? EVERYTHING.levels : others) });
  }

  private async _find(backwards: boolean): Promise<void> {
    const { model, list, _trans: trans } = this;
    if (model.filter.text === '') {
      return;
    }
    const from = list.active?.number ?? (backwards ? model.total + 1 : 0);
    const found =
      (await model.find(from, backwards)) ?? (await model.find(backwards ? model.total + 1 : 0, backwards));
    if (found !== null) {
      list.goTo(found);
      if (backwards ? found >= from : found <= from) {
        this.say(backwards ? trans.__('Continued from the end.') : trans.__('Continued from the beginning.'));
      }
    } else if (model.complaint === '' && !model.trouble) {
      this.say(trans.__('No line matches.'));
    }
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  private readonly _onChanged = (): void => {
    this._frame ||= requestAnimationFrame(() => {
      this._frame = 0;
      if (!this.isDisposed) {
        this._draw();
      }
    });
  };

  private _draw(): void {
    const { model, _trans: trans } = this;
    const { filter, summary } = model;
    this._drawSessions();
    for (const [level, button] of this._levels) {
      const count = model.count(level);
      const label = {
        severe: trans.__('Errors'),
        warn: trans.__('Warnings'),
        info: trans.__('Info'),
        debug: trans.__('Debug')
      }[level];
      set(button, count === null ? label : `${label} ${words.grouped(count)}`);
      press(button, filter.levels.has(level));
      button.dataset.none = String(count === 0);
      button.hidden = level === 'debug' && !count && filter.levels.has(level);
    }
    if (document.activeElement !== this._search && this._search.value !== filter.text) {
      this._search.value = filter.text;
    }
    press(this._regex, filter.regex);
    press(this._only, filter.only);
    this._only.hidden = filter.text === '';
    this._previous.disabled = this._next.disabled = filter.text === '';
    this._search.setAttribute('aria-invalid', String(model.complaint !== ''));
    const call = filter.call === null ? null : model.call(filter.call);
    const chosen = filter.cell !== null || filter.call !== null;
    const active = this._host.activeCell();
    const name = call
      ? [this._host.cellName(call), call.task].filter(part => part).join(' › ')
      : this._host.nameOfCell(filter.cell ?? active ?? '');
    set(this._cell, name ? trans.__('Only %1', name) : trans.__('Only this cell'));
    this._cell.title = trans.__('Show the lines of the active cell alone');
    this._cell.disabled = !chosen && active === null;
    press(this._cell, chosen);
    press(this._follow, this._followsCell);
    press(this._group, model.grouped);
    this._copy.disabled = model.rows.length === 0;
    this._download.disabled = !summary?.size;
    set(this._count, this._counted());
    const empty = this._nothing();
    set(this._empty, empty);
    this._empty.hidden = empty === '';
    this._newest.hidden = empty !== '' || this.list.isFollowing || model.rows.length === 0;
    this.list.toggleClass('jp-mod-empty', empty !== '');
    this._drawSaid(empty === '');
  }

  private _drawSessions(): void {
    const { model, _sessions: select, _trans: trans } = this;
    const own = model.choice === null ? model.summary : null;
    const options: [string, string][] = [
      ['', own ? this._nameOf(own) : trans.__('This notebook')],
      ...model.logs
        .filter(({ session, size, alive }) => session !== own?.session && (size > 0 || alive))
        .map(summary => [summary.session, this._nameOf(summary)] as [string, string])
    ];
    const key = JSON.stringify([options, model.choice]);
    if (key !== this._sessionsKey && document.activeElement !== select) {
      this._sessionsKey = key;
      select.replaceChildren(
        ...options.map(([value, text]) => {
          const option = element('option', '', text);
          option.value = value;
          return option;
        })
      );
      select.value = model.choice ?? '';
    }
    select.hidden = model.logs.length === 0;
  }

  private _nameOf({ session, kernel, notebook: known, alive, changed }: ILogSummary): string {
    const { _trans: trans, model } = this;
    const { source } = model;
    const notebook = known ?? (kernel !== null && kernel === source?.kernel ? source.path : null);
    if (session === TOOLS) {
      return trans.__('Tools of all kernels');
    }
    const name = notebook === null ? trans.__('A session') : PathExt.basename(notebook);
    const when = new Date(changed * 1000).toISOString().slice(0, 16).replace('T', ' ');
    return alive ? trans.__('%1, running', name) : trans.__('%1, ended %2', name, when);
  }

  /** How many lines there are, and how many are shown. */
  private _counted(): string {
    const { model, _trans: trans } = this;
    if (model.session === null) {
      return '';
    }
    const { matches } = model;
    return matches
      ? trans.__('%1 of %2', words.grouped(matches.lines.length), words.grouped(model.total))
      : words.lines(model.total, trans);
  }

  /** Why there is no line to be seen; empty: there is one. */
  private _nothing(): string {
    const { model, _server: server, _trans: trans } = this;
    if (model.rows.length > 0) {
      return '';
    }
    switch (server.condition) {
      case 'checking':
        return trans.__('Looking …');
      case 'missing':
        return trans.__(
          'The Jupyter server has no extension of JupyterLab-CASA: install jupyterlab-casa where it runs.'
        );
      case 'other-version':
        return trans.__(
          'The browser has version %1 of JupyterLab-CASA, the server %2: restart the server, and load this page again.',
          server.version,
          server.serverVersion
        );
      case 'offline':
        return trans.__('The server cannot be reached. It is tried again.');
    }
    const obstacle = this._host.obstacle();
    if (obstacle && model.choice === null) {
      return obstacle;
    }
    if (model.complaint) {
      return model.complaint;
    }
    if (model.trouble) {
      return model.trouble.trouble === 'refused'
        ? model.trouble.message
        : trans.__('The server cannot be reached. It is tried again.');
    }
    if (model.isLoading || model.known < 1 || model.matches?.isSearching) {
      return trans.__('Looking …');
    }
    if (model.session === null) {
      return trans.__('CASA has not logged anything for this notebook yet. Run a cell that calls a task.');
    }
    return model.total === 0
      ? trans.__('CASA has not logged anything in this session yet.')
      : trans.__('No line is as the filter wants it.');
  }

  /** What is to be said beside the lines. */
  private _drawSaid(lines: boolean): void {
    const { model, _said: node, _trans: trans } = this;
    const { matches, trouble } = model;
    let text = this._note;
    let more = false;
    if (text === '' && model.known < 1) {
      text = trans.__('The log is long and is being read: %1 %', Math.floor(model.known * 100));
    } else if (text === '' && lines && (trouble || this._server.condition === 'offline')) {
      text = trans.__('The server cannot be reached: what is shown may be old.');
    } else if (text === '' && lines && model.complaint) {
      text = model.complaint;
    } else if (text === '' && matches?.isSearching) {
      text = trans.__(
        'Looking … so far lines %1 to %2',
        words.grouped(matches.low),
        words.grouped(matches.high - 1)
      );
    } else if (text === '' && matches?.hasMore && lines) {
      text = trans.__(
        'Only lines %1 to %2 have been looked at.',
        words.grouped(matches.low),
        words.grouped(matches.high - 1)
      );
      more = true;
    }
    set(this._saidText, text);
    this._more.hidden = !more;
    node.hidden = text === '';
    if (!this._saidText.parentElement) {
      this._more.textContent = trans.__('Look further');
      this._more.type = 'button';
      this._more.addEventListener('click', () => void model.matches?.more());
      node.append(this._saidText, this._more);
    }
  }

  private readonly _bar = element('div');
  private readonly _said = element('div', 'jp-casa-logs-said');
  private readonly _saidText = element('span');
  private readonly _more = element('button', 'jp-casa-logs-button');
  private readonly _sessions = element('select', 'jp-casa-logs-sessions');
  private readonly _levels = new Map<Level, HTMLButtonElement>();
  private readonly _search = element('input');
  private readonly _regex = element('button', 'jp-casa-logs-icon');
  private readonly _previous = element('button', 'jp-casa-logs-icon');
  private readonly _next = element('button', 'jp-casa-logs-icon');
  private readonly _only = element('button', 'jp-casa-logs-button');
  private readonly _cell = element('button', 'jp-casa-logs-button');
  private readonly _follow = element('button', 'jp-casa-logs-button');
  private readonly _group = element('button', 'jp-casa-logs-button');
  private readonly _copy = element('button', 'jp-casa-logs-icon');
  private readonly _download = element('button', 'jp-casa-logs-icon');
  private readonly _newest = element('button', 'jp-casa-logs-newest');
  private readonly _count = element('span', 'jp-casa-logs-total');
  private readonly _empty = element('div', 'jp-casa-logs-empty');
  private _sessionsKey = '';
  private _followsCell = false;
  private _frame = 0;
  private _note = '';
  private _typing: ReturnType<typeof setTimeout> | undefined;
  private _saidTimer: ReturnType<typeof setTimeout> | undefined;
}

function set(node: HTMLElement, text: string): void {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

function press(button: HTMLElement, pressed: boolean): void {
  button.setAttribute('aria-pressed', String(pressed));
}

/** A button with a picture instead of words. */
function dress(button: HTMLElement, icon: string, title: string): void {
  button.dataset.icon = icon; // the style sheet draws it
  button.title = title;
  button.setAttribute('aria-label', title);
}
