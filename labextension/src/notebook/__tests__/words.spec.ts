import { trans } from '../../__tests__/trans';
import type { ICallNow, ICellPlan } from '../../server/types';
import { duration, explain, progress, roughly, share, todo } from '../words';

const summary = { stale: 0, maybe: 0, restorable: 0, estimate_s: 0 };
const call: ICallNow = {
  task: 'tclean',
  reason: '',
  began: 0,
  expected_s: 27.1,
  stage: 'Major Cycle 2',
  elapsed_s: 11,
  waiting_for: null
};
const plan: ICellPlan = {
  id: 'a',
  index: 3,
  state: 'stale',
  reasons: [
    { kind: 'edited', subject: 'niter', message: '`niter` of tclean was 500, is now 1000', because_of: null }
  ],
  reads: [],
  writes: [],
  calls: [
    { task: 'delmod', key: 'k', action: 'restore', estimate_s: 0 },
    { task: 'tclean', key: null, action: 'run', estimate_s: 27.1 }
  ],
  estimate_s: 27.4,
  impure: [],
  outside: []
};

it('says times as the kernel does', () => {
  expect([0, 2.34, 99.94, 99.96, 192, 3599.6, 7500].map(duration)).toEqual([
    '0.0 s',
    '2.3 s',
    '99.9 s',
    '1 min 40 s',
    '3 min 12 s',
    '1 h 00 min',
    '2 h 05 min'
  ]);
  expect([0.44, 9.4, 42.4, 120].map(roughly)).toEqual(['0.4 s', '9.4 s', '42 s', '2 min 00 s']);
});

it('says how much there is to do', () => {
  const said = (some: Partial<typeof summary>) => todo({ ...summary, ...some }, trans);
  expect(said({})).toBe('');
  expect(said({ stale: 3, estimate_s: 42.2 })).toBe('3 cells, about 42 s');
  expect(said({ stale: 1 })).toBe('1 cell');
  expect(said({ stale: 1, maybe: 2, estimate_s: 42.2 })).toBe('1 to 3 cells, at most 42 s');
  expect(said({ restorable: 2 })).toBe('2 to bring back');
});

it('says why a cell is stale and what it costs', () => {
  expect(explain({ mark: 'stale', plan }, trans)).toEqual({
    title: 'Stale: it must run.',
    reasons: ['`niter` of tclean was 500, is now 1000'],
    lines: ['delmod is restored, tclean runs (27 s)', 'About 27 s.']
  });
  const never = { ...plan, calls: [], estimate_s: 0, impure: ['random numbers'], outside: ['/tmp/x'] };
  expect(explain({ mark: 'stale', plan: never }, trans).lines).toEqual([
    'How long it takes is not known yet.',
    'It gives another result each time: random numbers.',
    'It writes outside the workspace: /tmp/x.'
  ]);
  expect(explain({ mark: 'running', plan: null }, trans)).toEqual({
    title: 'Running.',
    reasons: [],
    lines: []
  });
});

it('says how far a call is', () => {
  expect(progress(call, 1, trans)).toBe('tclean: Major Cycle 2, 12 s of about 27 s');
  expect(progress({ ...call, stage: '', expected_s: null }, 0, trans)).toBe('tclean: 11 s');
  expect(progress({ ...call, waiting_for: 'kernel 12' }, 0, trans)).toBe('tclean: waits for kernel 12');
  expect(share(call, 2.55)).toBeCloseTo(0.5);
  expect(share(call, 100)).toBe(0.98);
  expect(share({ ...call, expected_s: null }, 1)).toBeNull();
});
