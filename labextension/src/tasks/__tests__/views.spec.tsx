import type { ReactElement } from 'react';
import { act } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { CasaServerError } from '../../server/client';
import type { IMeasurementSet, ITaskSummary } from '../../server/types';
import { durationsText, examplesIn, TaskHelp } from '../help';
import { Form } from '../form/form';
import type { IPlace } from '../form/follow';
import { Scopes } from '../form/follow';
import { initialScope, readSource } from '../form/source';
import { FormState } from '../form/state';
import { Catalogue, Remembered } from '../model';
import { type ITaskActions, Palette } from '../palette';
import { Signal } from '@lumino/signaling';
import { effectTexts } from '../words';
import { TASK, trans } from './fixtures';

(globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean }).IS_REACT_ACT_ENVIRONMENT = true;
Element.prototype.scrollIntoView = () => undefined;

let root: Root;
let node: HTMLElement;
beforeEach(() => {
  node = document.body.appendChild(document.createElement('div'));
  root = createRoot(node);
});
afterEach(() => {
  act(() => {
    root.unmount();
  });
  node.remove();
});
const show = (element: ReactElement) => {
  act(() => {
    root.render(element);
  });
};
const one = (selector: string): HTMLInputElement => {
  const found = node.querySelector<HTMLInputElement>(selector);
  if (!found) {
    throw new Error(`no ${selector} in ${node.innerHTML}`);
  }
  return found;
};
const all = (selector: string) => Array.from(node.querySelectorAll<HTMLElement>(selector));
/** Does something, and waits for what comes of it. */
const after = (what: () => void) =>
  act(async () => {
    what();
    await new Promise(resolve => setTimeout(resolve));
  });
const press = (target: HTMLElement, key: string, init: KeyboardEventInit = {}) =>
  after(() =>
    target.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true, ...init }))
  );
const click = (target: HTMLElement | undefined) =>
  after(() => {
    target?.click();
  });
const type = (input: HTMLElement, value: string) => {
  const prototype =
    input instanceof HTMLSelectElement ? HTMLSelectElement.prototype : HTMLInputElement.prototype;
  return after(() => {
    Object.getOwnPropertyDescriptor(prototype, 'value')?.set?.call(input, value);
    input.dispatchEvent(
      new Event(input instanceof HTMLSelectElement ? 'change' : 'input', { bubbles: true })
    );
  });
};
const settle = () => after(() => undefined);

const task = (name: string, summary: string, category: string): ITaskSummary => ({
  name,
  summary,
  categories: [category],
  package: 'casatasks',
  parameters: ['vis']
});
const TASKS = [
  task('gaincal', 'Determine gains', 'calibration'),
  task('image', 'Makes <b>images</b>', 'imaging'),
  task('tclean', 'Image reconstruction', 'imaging')
];
const server = () => ({
  tasks: jest.fn(() => Promise.resolve({ schema: 1 as const, version: '6', tasks: TASKS })),
  task: jest.fn(() => Promise.resolve(TASK)),
  measurementSet: jest.fn(() =>
    Promise.resolve<IMeasurementSet>({
      schema: 1,
      exists: true,
      rows: 1,
      fields: [
        { id: 0, name: 'A' },
        { id: 1, name: 'B' }
      ],
      spws: [],
      antennas: [],
      intents: [],
      correlations: [],
      scans: null
    })
  )
});

describe('the list of tasks', () => {
  const begin = async () => {
    const catalogue = new Catalogue(server());
    await catalogue.load();
    const remembered = new Remembered(null);
    const actions = {
      insert: jest.fn<Promise<string>, [string]>(() => Promise.resolve('')),
      show: jest.fn<undefined, [string]>(),
      drag: jest.fn<Promise<boolean>, [string, unknown]>(() => Promise.resolve(false))
    } satisfies ITaskActions;
    const draw = () => {
      show(<Palette {...{ catalogue, remembered, actions, trans }} />);
    };
    remembered.changed.connect(draw);
    draw();
    return { actions, remembered, catalogue, draw };
  };
  const search = () => one('input');
  const rows = () => all('[role=treeitem]').map(row => row.textContent.replace(/[☆★?▾▸]/g, '').trim());
  const active = () =>
    document.getElementById(search().getAttribute('aria-activedescendant') ?? '')?.textContent;

  it('is by category, and can be gone through with keys', async () => {
    const { actions, remembered } = await begin();
    expect(rows()).toEqual([
      'calibration 1',
      'gaincalDetermine gains',
      'imaging 2',
      'imageMakes <b>images</b>',
      'tcleanImage reconstruction'
    ]);
    for (const [key, shown] of [
      ['ArrowDown', 'calibration'],
      ['ArrowDown', 'gaincal'],
      ['ArrowUp', 'calibration']
    ] as const) {
      await press(search(), key);
      expect(active()).toContain(shown);
    }
    await press(search(), 'Enter');
    expect(rows()).toHaveLength(4);
    expect(remembered.folded('calibration')).toBe(true);
    await press(search(), 'Enter');
    await press(search(), 'ArrowDown');
    await press(search(), 'Enter');
    expect(actions.insert).toHaveBeenCalledWith('gaincal');
    await press(search(), 'Enter', { shiftKey: true });
    expect(actions.show).toHaveBeenCalledWith('gaincal');
  });

  it('has more keys where one does not write', async () => {
    const { actions, remembered } = await begin();
    const tree = one('[role=tree]');
    await press(tree, 'End');
    expect(active()).toContain('tclean');
    await press(tree, 'f');
    expect(remembered.favourites).toEqual(['tclean']);
    expect(rows()[0]).toBe('Favourites 1');
    await press(tree, 'h');
    expect(actions.show).toHaveBeenCalledWith('tclean');
    await press(tree, 'Home');
    await press(tree, 'ArrowLeft');
    expect(remembered.folded('*favourites')).toBe(true);
    await press(tree, 'ArrowRight');
    expect(remembered.folded('*favourites')).toBe(false);
    await press(tree, ' ');
    expect(remembered.folded('*favourites')).toBe(true);
  });

  it('finds, takes the best with Enter, and is whole again with Escape', async () => {
    const { actions } = await begin();
    await type(search(), 'img');
    expect(rows()[0]).toContain('image');
    expect(all('b').map(letter => letter.textContent)).toEqual(['i', 'm', 'g']);
    await press(search(), 'Enter');
    expect(actions.insert).toHaveBeenCalledWith('image');
    await type(search(), 'nothing like it');
    expect(one('[role=status]').textContent).toContain('No task fits');
    await press(search(), 'ArrowDown');
    await press(search(), 'Enter');
    await press(search(), 'Escape');
    expect(rows()).toHaveLength(5);
  });

  it('inserts with a click, unless it was a drag, and says why it could not', async () => {
    const { actions } = await begin();
    const row = () => all('.jp-casa-palette-task')[0] ?? document.body;
    actions.insert.mockResolvedValueOnce('Open a notebook.');
    await click(row());
    await settle();
    expect(one('[role=status]').textContent).toContain('Open a notebook.');
    actions.drag.mockResolvedValueOnce(true);
    await after(() => row().dispatchEvent(new MouseEvent('pointerdown', { bubbles: true, button: 0 })));
    await settle();
    await click(row());
    expect(actions.insert).toHaveBeenCalledTimes(1);
  });

  it('says why there is nothing, and tries again', async () => {
    const asked = server();
    asked.tasks.mockRejectedValueOnce(new CasaServerError('missing', '404'));
    const catalogue = new Catalogue(asked);
    await catalogue.load();
    const actions: ITaskActions = {
      insert: () => Promise.resolve(''),
      show: () => undefined,
      drag: () => Promise.resolve(false)
    };
    show(<Palette {...{ catalogue, remembered: new Remembered(null), actions, trans }} />);
    expect(one('[role=status]').textContent).toContain('no JupyterLab-CASA');
    await click(one('[role=status] button'));
    await settle();
    expect(catalogue.tasks).toHaveLength(3);
  });
});

describe('help', () => {
  it('is text, whatever it looks like', () => {
    show(<TaskHelp task={TASK} trans={trans} />);
    expect(all('script, b, d')).toEqual([]);
    expect(node.textContent).toContain('<script>alert(1)</script>');
    expect(node.textContent).toContain('Reads vis.');
    expect(node.textContent).toContain('If niter > 0: Goes on from outname.*, or begins it.');
    expect(all('tbody tr')).toHaveLength(TASK.parameters.length - 1);
    expect(all('button')).toEqual([]);
  });

  it('says what a task does to data, in full and in brief', () => {
    const effects = {
      trusted: false,
      network: true,
      notes: 'Careful.',
      uses: [
        { access: 'read' as const, rule: 'vis', parameters: ['vis'] },
        { access: 'read' as const, rule: 'named(callib)', parameters: ['callib'] },
        { access: 'modify' as const, rule: "{vis}.flagversions if x == ' if '", parameters: ['vis'] }
      ]
    };
    expect(effectTexts(effects, trans)).toEqual([
      'Reads vis, what callib names.',
      "If x == ' if ': Changes vis.flagversions in place.",
      'May ask the network, so it is run each time.',
      'What it does to data is not known for sure: it is run each time.',
      'Careful.'
    ]);
    expect(effectTexts(effects, trans, true).slice(0, 2)).toEqual([
      'Reads vis, callib.',
      'Changes vis in place.'
    ]);
  });

  it('finds the calls in examples, and inserts them', async () => {
    const text = TASK.example.map(piece => piece.text).join('\n\n');
    expect(examplesIn(text, 'image')).toEqual([
      "image(vis='a.ms', niter=5)",
      "image(vis='b',\n      field='1')"
    ]);
    const insert = jest.fn();
    show(<TaskHelp task={TASK} trans={trans} onInsert={insert} />);
    await click(all('.jp-casa-help-block button')[0]);
    expect(insert).toHaveBeenCalledWith("image(vis='a.ms', niter=5)");
  });

  it('says how long it takes here', () => {
    const say = (runs: number, typical: number | null, least = typical, most = typical) =>
      durationsText({ runs, typical_s: typical, shortest_s: least, longest_s: most }, trans);
    expect(say(0, null)).toBe('It has not been run here yet.');
    expect(say(1, 2.34)).toBe('It ran once here, in 2.3 s.');
    expect(say(5, 30, 20, 200)).toBe('It ran 5 times here, usually in 30.0 s (20.0 s to 3 min 20 s).');
  });

  it('is there for a task without any', () => {
    show(<TaskHelp task={{ ...TASK, docs: [], example: [], parameters: [] }} trans={trans} />);
    expect(node.textContent).toContain('CASA has no description of it.');
  });
});

describe('the form', () => {
  /** A notebook of one cell in whose first call the cursor is. */
  const begin = async (source: string | null, readOnly = false) => {
    const catalogue = new Catalogue(server());
    await catalogue.load();
    let text = source ?? '';
    const changed = new Signal<object, void>({});
    const place = (): IPlace | null => {
      if (source === null) {
        return null;
      }
      const { calls, scope } = readSource(text, catalogue.scope);
      const panel = { context: { localPath: 'w/n.ipynb' }, content: { model: { readOnly } } };
      const cell = { readOnly };
      return { panel, cell, source: text, scope, call: calls[0] ?? null } as unknown as IPlace;
    };
    const follower = {
      changed,
      hasNotebook: source !== null,
      get place() {
        return place();
      },
      wanted: true,
      write: (_: IPlace, steps: readonly { from: number; to: number; insert: string }[]) => {
        for (const { from, to, insert } of steps) {
          text = text.slice(0, from) + insert + text.slice(to);
        }
        changed.emit();
      }
    };
    const actions = { pick: jest.fn(() => Promise.resolve<string | null>('../b.ms')), insert: jest.fn() };
    const state = new FormState(follower as never, catalogue, actions);
    const draw = () => {
      show(<Form state={state} trans={trans} />);
    };
    state.changed.connect(draw);
    changed.emit();
    draw();
    await settle();
    return {
      state,
      actions,
      text: () => text,
      edit: (next: string) => ((text = next), changed.emit(), settle())
    };
  };
  const row = (name: string) => `[data-parameter="${name}"]`;
  const input = (name: string) => one(`${row(name)} .jp-casa-field-input`);
  const write = async (name: string, value: string) => {
    await type(input(name), value);
    await press(input(name), 'Enter');
  };

  it('shows the call, and writes what changes', async () => {
    const { text } = await begin('r = image(vis="a.ms",  # the data\n    niter=5)');
    expect(input('vis').value).toBe('a.ms');
    expect(input('gain').placeholder).toBe('0.1');
    await write('niter', '500');
    await write('field', '3C286');
    await type(one(`${row('mode')} select`), '"b"');
    await settle();
    expect(text()).toBe(
      'r = image(vis="a.ms",  # the data\n    niter=500,\n    field="3C286",\n    mode="b")'
    );
    await type(one(`${row('wide')} select`), '"y"');
    await settle();
    expect(text()).toContain('wide="y"');
    await click(one(`${row('niter')} [aria-label^="Back"]`));
    await settle();
    expect(text()).not.toContain('niter');
  });

  it('writes nothing that is no Python or of another type, and says so', async () => {
    const { text } = await begin("image(vis='a.ms', niter=n + 1)");
    expect(input('niter').value).toBe('n + 1');
    await write('niter', 'n +');
    expect(one(`${row('niter')} [role=alert]`).textContent).toContain(
      'no Python expression. It is not written.'
    );
    await write('gain', "'much'");
    expect(one(`${row('gain')} [role=alert]`).textContent).toContain('This should be a number');
    await press(input('niter'), 'Escape');
    expect(input('niter').value).toBe('n + 1');
    await write('niter', 'n + 2');
    expect(text()).toBe("image(vis='a.ms', niter=n + 2)");
  });

  it('follows the cell', async () => {
    const { edit } = await begin("image(vis='a.ms')");
    await edit("image(vis='b.ms', field='2')");
    expect([input('vis').value, input('field').value]).toEqual(['b.ms', '2']);
    await edit('x = 3');
    expect(node.textContent).toContain('Put the cursor into a call');
  });

  it('offers what is in the MeasurementSet', async () => {
    const { text } = await begin("image(vis='a.ms')");
    await click(one(`${row('field')} [aria-label^="Choose field from a.ms"]`));
    await settle();
    const boxes = () => all(`${row('field')} [type=checkbox]`);
    await click(boxes()[1]);
    await settle();
    await click(boxes()[0]);
    await settle();
    expect(text()).toBe("image(vis='a.ms', field='B,A')");
    await click(boxes()[0]);
    await settle();
    await click(boxes()[1]);
    await settle();
    expect(text()).toBe("image(vis='a.ms')");
  });

  it('lets one choose among files', async () => {
    const { text, actions } = await begin('image()');
    await click(one(`${row('vis')} [aria-label^="Choose vis"]`));
    await settle();
    expect(text()).toBe("image(vis='../b.ms')");
    actions.pick.mockResolvedValueOnce(null);
    await click(one(`${row('vis')} [aria-label^="Choose vis"]`));
    await settle();
    expect(text()).toBe("image(vis='../b.ms')");
  });

  it('takes Python where it is asked to', async () => {
    const { text } = await begin("image(vis='a.ms')");
    await click(one(`${row('vis')} [aria-label^="Write vis as Python"]`));
    await settle();
    expect(input('vis').value).toBe("'a.ms'");
    await write('vis', "['a.ms', name]");
    expect(text()).toBe("image(vis=['a.ms', name])");
  });

  it('changes nothing that cannot be changed', async () => {
    await begin("image(vis='a.ms', niter=)");
    expect(all('.jp-casa-field-input').every(field => (field as HTMLInputElement).disabled)).toBe(true);
    expect(node.textContent).toContain('no valid Python');
  });

  it('is quiet in a notebook that cannot be changed, and without one', async () => {
    await begin("image(vis='a.ms')", true);
    expect(node.textContent).toContain('The notebook cannot be changed.');
    expect(input('vis').disabled).toBe(true);
    const { state } = await begin(null);
    expect(node.textContent).toContain('Open a notebook');
    state.show('image');
    await settle();
    expect(one('[role=tab][aria-selected=true]').textContent).toBe('Help');
    expect(node.textContent).toContain('What it does to data');
  });

  it('shows a task that was asked for until the cursor moves', async () => {
    const { state, edit, actions } = await begin('x = 3');
    state.show('image');
    await settle();
    await click(all('[role=tab]')[0]);
    await click(one('.jp-casa-form-note button'));
    expect(actions.insert).toHaveBeenCalledWith(TASK, undefined);
    await edit("image(vis='a.ms')");
    expect(input('vis').value).toBe('a.ms');
  });

  it('finds parameters', async () => {
    await begin("image(vis='a.ms')");
    await type(one('.jp-casa-form-filter'), 'NIT');
    expect(all('.jp-casa-field').map(field => field.dataset.parameter)).toEqual(['niter']);
  });
});

it('cells that have not changed are not read again', () => {
  const scope = initialScope(['image'], ['casatasks']);
  const scopes = new Scopes();
  const cells = ['from casatasks import image as i', 'x = 1', 'ms = "a"'];
  const first = scopes.before(cells, scope);
  expect([first.tasks.get('i'), first.values.get('ms')]).toEqual(['image', 'a']);
  expect(scopes.before(cells, scope)).toBe(first);
  expect(scopes.before([...cells.slice(0, 2), 'ms = "b"'], scope).values.get('ms')).toBe('b');
  expect(scopes.before(['image = 3', ...cells.slice(1)], scope).tasks.get('image')).toBeUndefined();
  expect(scopes.before([], scope)).toBe(scope);
});
