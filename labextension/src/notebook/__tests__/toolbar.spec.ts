import { trans } from '../../__tests__/trans';
import { CasaServerError } from '../../server/client';
import type { ICellPlan, IPlan } from '../../server/types';
import { previewPlan } from '../preview';
import type { IOutcome } from '../rerun';
import { CasaStatus, statusOf, summaryOf } from '../status';
import { face, type IFace, RerunButton } from '../toolbar';

const ready = { condition: 'ready', version: '1', serverVersion: '1' } as const;
const summary = { stale: 3, maybe: 0, restorable: 0, estimate_s: 42 };
const state = (more: object = {}) => ({ summary, trouble: null, ...more });
const idle = { isRunning: false, isStopping: false };

describe('the button', () => {
  it('says how much there is to do', () => {
    const said = (some: object) => {
      const { label, kind, action } = face(ready, state({ summary: { ...summary, ...some } }), idle, trans);
      return [label, kind, action];
    };
    expect(said({})).toEqual(['Re-run stale: 3 cells, about 42 s', 'stale', 'rerun']);
    expect(said({ stale: 0, restorable: 2, estimate_s: 0 })).toEqual([
      'Bring back: 2',
      'restorable',
      'rerun'
    ]);
    expect(said({ stale: 0, estimate_s: 0 })).toEqual(['All fresh', 'fresh', null]);
  });

  it('stops what it has begun', () => {
    const running = face(ready, state(), { isRunning: true, isStopping: false }, trans);
    expect([running.label, running.action]).toEqual(['Stop after this call', 'stop']);
    const stopping = face(ready, state(), { isRunning: true, isStopping: true }, trans);
    expect([stopping.label, stopping.action]).toEqual(['Stopping…', null]);
  });

  it('says quietly why nothing is known', () => {
    const said = (server: object, one: object | null = null) => {
      const { label, title, action } = face({ ...ready, ...server }, one as never, null, trans);
      return [label, action, title];
    };
    expect(said({ condition: 'missing' })).toEqual([
      'CASA: not known',
      null,
      expect.stringContaining('install')
    ]);
    expect(said({ condition: 'other-version', serverVersion: '2' })[2]).toContain(
      'version 1 of JupyterLab-CASA, the server 2'
    );
    expect(said({ condition: 'offline' })[2]).toBe('The server cannot be reached.');
    const trouble = new CasaServerError('refused', 'the memory cannot be read');
    expect(said({}, state({ summary: null, trouble }))[2]).toBe('the memory cannot be read');
    const away = new CasaServerError('offline', 'Failed to fetch');
    expect(said({}, state({ summary: null, trouble: away }))[2]).toBe('The server cannot be reached.');
    expect(said({}, state({ summary: null }))).toEqual(['Re-run stale', null, 'Being planned …']);
  });

  it('does what it says, and nothing else', () => {
    let now: IFace = { label: 'x', title: 't', action: null, kind: 'fresh' };
    const did: unknown[] = [];
    const button = new RerunButton(
      () => now,
      action => did.push(action),
      () => did.push('menu'),
      trans
    );
    const [main, more] = button.node.querySelectorAll('button');
    main?.click();
    expect([did, main?.getAttribute('aria-disabled'), main?.textContent]).toEqual([[], 'true', 'x']);
    now = { label: 'Re-run', title: '', action: 'rerun', kind: 'stale' };
    button.refresh();
    main?.click();
    more?.click();
    expect([did, main?.getAttribute('aria-disabled'), main?.textContent]).toEqual([
      ['rerun', 'menu'],
      'false',
      'Re-run'
    ]);
    now = { label: '', title: '', action: null, kind: 'waiting' };
    button.refresh();
    expect(button.isHidden).toBe(true);
  });
});

const cell = (id: string, more: Partial<ICellPlan> = {}): ICellPlan => ({
  id,
  index: 0,
  state: 'stale',
  reasons: [{ kind: 'edited', subject: '', message: `why <b>${id}</b>`, because_of: null }],
  reads: [],
  writes: [],
  calls: [],
  estimate_s: 2,
  impure: [],
  outside: [],
  ...more
});
const plan = (...cells: ICellPlan[]) =>
  ({ cells, restores: [], estimate_s: 27, fresh: false }) as unknown as IPlan;

describe('the status bar', () => {
  const notebook = (more: object) =>
    ({
      doing: null,
      plan: plan(cell('a'), cell('b')),
      summary,
      trouble: null,
      sinceTold_s: 2,
      ...more
    }) as Parameters<typeof statusOf>[0];
  const rerun = (more: object) =>
    ({ isRunning: true, began: 0, cell: 'b', plan: plan(), ...more }) as Parameters<typeof statusOf>[1];
  const call = { task: 'tclean', stage: 'Major Cycle 2', elapsed_s: 10, expected_s: 24, waiting_for: null };

  it('says what runs, how far it is, and what is stale', () => {
    const said = (one: object, walk: object | null = null) =>
      statusOf(notebook(one), walk && rerun(walk), 9000, trans);
    expect(said({})).toEqual({ text: 'CASA: stale: 3 cells, about 42 s' });
    expect(said({ summary: { ...summary, stale: 0, estimate_s: 0 } })).toEqual({ text: 'CASA: all fresh' });
    expect(said({ doing: { cell: 'b', call } })).toEqual({
      text: 'CASA: tclean: Major Cycle 2, 12 s of about 24 s',
      done: 0.5
    });
    expect(said({ doing: { cell: 'b', call: null } })).toEqual({ text: 'CASA: cell 2 runs', done: null });
    const walking = said({ doing: { cell: 'b', call } }, {});
    expect(walking.text).toBe(
      'CASA: cell 2 · tclean: Major Cycle 2, 12 s of about 24 s · 9.0 s of about 27 s'
    );
    expect(walking.done).toBeCloseTo(1 / 3);
    expect(said({}, { cell: null, plan: null })).toEqual({
      text: 'CASA: looking what is next · 9.0 s',
      done: null
    });
    expect(said({ summary: null, trouble: new CasaServerError('offline', 'away') }).text).toBe(
      'CASA: not known'
    );
  });

  it('shows a bar while something is under way', () => {
    const status = new CasaStatus();
    const bar = status.node.querySelector('progress');
    const shown = () => [status.node.textContent, bar?.hidden, bar?.getAttribute('value')];
    expect(shown()).toEqual(['', true, null]);
    status.say({ text: 'x', done: 0.5 });
    expect(shown()).toEqual(['x', false, '0.5']);
    status.say({ text: 'y', done: null });
    expect(shown()).toEqual(['y', false, null]);
    status.say({ text: 'z' });
    expect(shown()).toEqual(['z', true, null]);
  });

  it('says calmly what a re-run has done', () => {
    const done: IOutcome = {
      executed: 4,
      restored: 9,
      failed: null,
      stopped: false,
      changed: [],
      saved_s: 372,
      seconds: 42,
      trouble: null
    };
    const said = (more: Partial<IOutcome>) => summaryOf({ ...done, ...more }, id => `cell ${id}`, trans);
    expect(said({})).toBe('4 executed, 9 restored, saved 6 min 12 s');
    expect(said({ restored: 0, saved_s: 0 })).toBe('4 executed');
    expect(said({ executed: 0 })).toBe('9 restored, saved 6 min 12 s');
    expect(said({ failed: '3', saved_s: 0 })).toBe('cell 3 failed; 4 executed, 9 restored');
    expect(said({ failed: '3', stopped: true })).toBe('Stopped: 4 executed, 9 restored, saved 6 min 12 s');
    expect(said({ trouble: 'The kernel has ended.', restored: 0, saved_s: 0 })).toBe(
      'The re-run ended early: The kernel has ended. (4 executed)'
    );
  });
});

describe('the preview', () => {
  const rows = (one: IPlan) =>
    [...previewPlan(one, id => `first line of ${id}`, trans).querySelectorAll('tbody tr')].map(row =>
      [...row.children].map(column => column.textContent)
    );

  it('lists what is done, why, and for how long', () => {
    const calls = [{ task: 'tclean', key: null, action: 'run' as const, estimate_s: 2 }];
    const one = plan(
      cell('a', { state: 'fresh' }),
      cell('b', { calls }),
      cell('c', { state: 'maybe' }),
      cell('d', { state: 'restorable', estimate_s: 0 })
    );
    expect(rows(one)).toEqual([
      ['cell 2first line of b', 'runstclean runs (2.0 s)', 'why <b>b</b>', 'About 2.0 s.'],
      ['cell 3first line of c', 'runs, or turns out unchanged', 'why <b>c</b>', 'At most 2.0 s.'],
      ['cell 4first line of d', 'is brought back', 'why <b>d</b>', '']
    ]);
    expect(previewPlan(one, () => '', trans).textContent).toContain('In all at most 27 s.');
  });

  it('says so when there is nothing to do', () => {
    const node = previewPlan(plan(cell('a', { state: 'fresh' })), () => '', trans);
    expect(node.textContent).toBe('There is nothing to do: all is fresh.');
  });
});
