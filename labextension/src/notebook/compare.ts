/** A cell beside its runs: why it is stale, what its text was, what it read, made and called. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import type { CasaServer } from '../server/client';
import type { IRun, IRunSummary } from '../server/types';
import { diffLines } from './diff';
import { describe, element } from './hover';
import { duration, type ICellWords } from './words';

/** The part of the server that is needed. */
export type Runs = Pick<CasaServer, 'cell' | 'run'>;

/** The cell that is looked at. */
export interface ICompared {
  id: string;
  /** The notebook's path. */
  path: string;
  /** What it says now. */
  source: string;
  /** What is known of it; null: nothing. */
  words: ICellWords | null;
  /** What people call a cell: `cell 5`. */
  name: (id: string) => string;
}

/** What is in a dialog about a cell. */
export class CellComparison extends Widget {
  /**
   * @param _server - Knows its runs.
   * @param _cell - Which.
   * @param _trans - Our texts.
   */
  constructor(
    private readonly _server: Runs,
    private readonly _cell: ICompared,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('jp-casa-compare');
    this._shown.setAttribute('aria-live', 'polite');
    this.node.append(...(_cell.words ? describe(_cell.words, _trans) : []), this._shown);
    this.ready = this._load();
  }

  /** The newest run is shown, or why there is none. */
  readonly ready: Promise<void>;

  private async _load(): Promise<void> {
    const { _trans: trans, _cell: cell } = this;
    try {
      const { runs } = await this._server.cell(cell.id, cell.path);
      const newest = runs[0];
      if (!newest) {
        this._shown.append(element('p', '', trans.__('It has not run in this notebook yet.')));
        return;
      }
      const choice = element('select');
      choice.append(
        ...runs.map(run => {
          const option = element('option', '', title(run, trans));
          option.value = String(run.number);
          return option;
        })
      );
      choice.addEventListener('change', () => void this._show(Number(choice.value)));
      const label = element('label', 'jp-casa-compare-choice', trans.__('Compared with the run of '));
      label.append(choice);
      this.node.insertBefore(label, this._shown);
      await this._show(newest.number);
    } catch (error) {
      this._fail(error);
    }
  }

  private async _show(number: number): Promise<void> {
    this._wanted = number;
    try {
      const run = await this._server.run(number, this._cell.path);
      if (this._wanted === number) {
        this._shown.replaceChildren(...this._sections(run));
      }
    } catch (error) {
      this._fail(error);
    }
  }

  private _fail(error: unknown): void {
    this._shown.replaceChildren(element('p', '', error instanceof Error ? error.message : String(error)));
  }

  private _sections({ run, source, reads, writes }: IRun): HTMLElement[] {
    const { _trans: trans, _cell: cell } = this;
    const section = (heading: string, ...content: Node[]) => {
      const node = element('section', 'jp-casa-compare-section');
      node.append(element('h2', '', heading), ...content);
      return node;
    };
    const list = (items: string[]) => {
      const node = element('ul');
      node.append(...items.map(item => element('li', '', item)));
      return node;
    };
    const same = source === cell.source;
    const sections = [
      same
        ? section(trans.__('Text'), element('p', '', trans.__('The same as now.')))
        : section(trans.__('Text: then (−) and now (+)'), diff(source, cell.source, trans))
    ];
    if (run.error !== null) {
      sections.push(section(trans.__('How it ended'), element('p', '', run.error)));
    }
    if (run.calls.length) {
      const said = run.calls.map(call => `${call.task}: ${call.action}, ${duration(call.seconds)}`);
      sections.push(section(trans.__('Calls'), list(said)));
    }
    const read = reads.flatMap(({ resource, origin }) => {
      const name = resourceName(resource, trans);
      return name === null ? [] : [origin === null ? name : trans.__('%1, of %2', name, cell.name(origin))];
    });
    if (read.length) {
      sections.push(section(trans.__('It read'), list(read)));
    }
    const wrote = writes.flatMap(({ resource, anew }) => {
      const name = resourceName(resource, trans);
      return name === null ? [] : [anew ? name : trans.__('%1, changed in place', name)];
    });
    if (wrote.length) {
      sections.push(section(trans.__('It made'), list(wrote)));
    }
    return sections;
  }

  private readonly _shown = element('div', 'jp-casa-compare-run');
  private _wanted = 0;
}

function title(run: IRunSummary, trans: TranslationBundle): string {
  const when = new Date(run.started).toLocaleString();
  const how = { ok: '', error: trans.__(', failed'), interrupted: trans.__(', interrupted') }[run.outcome];
  return `${when}, ${duration(run.seconds)}${how}`;
}

/** What people call a resource; null: it is nothing that they know. */
function resourceName(resource: string, trans: TranslationBundle): string | null {
  const name = resource.slice(2);
  switch (resource.slice(0, 2)) {
    case 'n:':
      return name.startsWith('<') ? null : name;
    case 'd:':
      return trans.__('what is in %1', name || '.');
    case 'p:':
      return name;
    default:
      return null; // whether something is at a path
  }
}

function diff(before: string, after: string, trans: TranslationBundle): HTMLElement {
  const node = element('div', 'jp-casa-compare-diff');
  node.tabIndex = 0; // so that the keyboard can scroll it
  node.setAttribute('role', 'region');
  node.setAttribute('aria-label', trans.__('Text: then (−) and now (+)'));
  const signs = { same: ' ', gone: '−', new: '+' };
  node.append(
    ...diffLines(before, after).map(({ kind, text }) => {
      const line = element('div', 'jp-casa-compare-line', `${signs[kind]} ${text}`);
      line.dataset.kind = kind;
      return line;
    })
  );
  return node;
}
