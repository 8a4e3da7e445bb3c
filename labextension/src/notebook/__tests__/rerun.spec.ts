import { CasaServerError } from '../../server/client';
import type { IOutputJson, IPostedCell, IStepReport, IWalk, IWalkStep } from '../../server/types';
import { type Ending, KERNEL_LOST, Rerun } from '../rerun';

const text = (said: string): IOutputJson => ({ output_type: 'stream', name: 'stdout', text: said });
const step = (
  action: IWalkStep['action'],
  cell: string | null,
  more: Partial<IWalkStep> = {}
): IWalkStep => ({
  cell,
  index: 0,
  action,
  reasons: [],
  estimate_s: 0,
  state: action === 'execute' || action === 'settle' ? { of: cell } : null,
  outputs: null,
  ...more
});
const steps = (...some: IWalkStep[]) => ({ steps: some });
const done = (more: Partial<NonNullable<IWalk['done']>> = {}) => ({
  steps: [],
  done: { failed: null, changed: [], saved_s: 0, ...more }
});

type Answer = Partial<IWalk> | Error;

/** A server with these answers, and a notebook whose cells end as it is said. */
function walk(answers: Answer[], endings: Record<string, Ending> = {}) {
  const told: unknown[] = [];
  const next = (what: unknown): Promise<IWalk> => {
    told.push(what);
    const answer = answers.shift() ?? new Error('no answer is left');
    return answer instanceof Error
      ? Promise.reject(answer)
      : Promise.resolve({
          schema: 1,
          id: 'w1',
          notebook: 'n',
          plan: null,
          steps: [],
          refused: false,
          done: null,
          ...answer
        });
  };
  const server = {
    beginWalk: (path: string, request: object) => next({ path, ...request }),
    stepWalk: (_: string, report: IStepReport) => next(report),
    stopWalk: jest.fn(() => Promise.resolve({ schema: 1 as const, id: 'w1', notebook: 'n', running: null })),
    endWalk: jest.fn(() => Promise.resolve({ schema: 1 as const, id: 'w1', ended: true }))
  };
  let cells: IPostedCell[] = [{ id: 'a', source: 'x = 1' }];
  const did: string[] = [];
  const during: Record<string, () => void> = {};
  const hands = {
    path: 'n.ipynb',
    kernel: 'k',
    spared_s: 10,
    posted: (): IPostedCell[] => cells,
    execute: (cell: string, state: object) => {
      did.push(`execute ${cell} ${JSON.stringify(state)}`);
      during[cell]?.();
      return Promise.resolve<Ending>(endings[cell] ?? 'ok');
    },
    settle: () => {
      did.push('settle');
      return Promise.resolve<Ending>(endings.settle ?? 'ok');
    },
    outputs: (cell: string) => [text(`former of ${cell}`)],
    show: (cell: string, outputs: IOutputJson[]) => {
      did.push(`show ${cell} ${outputs.map(output => String(output.text)).join()}`);
    }
  };
  const edit = (...now: IPostedCell[]) => {
    cells = now;
  };
  return { rerun: new Rerun(server, hands), server, told, did, during, edit, hands };
}

it('takes the steps as they are told, and says how each went', async () => {
  const { rerun, told, did, during, hands } = walk([
    steps(step('keep', 'a'), step('restore', 'b', { outputs: [text('B')] }), step('execute', 'c')),
    steps(step('execute', 'd')),
    steps(step('keep', 'e')),
    steps(step('settle', null)),
    done({ changed: ['x.ms'], saved_s: 372 })
  ]);
  during.d = () => {
    hands.spared_s += 5; // a call of it was restored
  };
  const outcome = await rerun.run({ to: 'e' });
  expect(did).toEqual(['show b B', 'execute c {"of":"c"}', 'execute d {"of":"d"}', 'settle']);
  expect(told).toEqual([
    { path: 'n.ipynb', kernel: 'k', cells: [{ id: 'a', source: 'x = 1' }], to: 'e' },
    { ok: true },
    { ok: true },
    {},
    { ok: true }
  ]);
  expect(outcome).toMatchObject({
    executed: 2,
    restored: 1,
    failed: null,
    changed: ['x.ms'],
    saved_s: 377,
    trouble: null
  });
  expect([rerun.isRunning, rerun.cell]).toEqual([false, null]);
});

it('tells how far it is', async () => {
  const { rerun } = walk([steps(step('execute', 'a')), steps(step('execute', 'b')), done()]);
  const seen: unknown[] = [];
  rerun.changed.connect(() => seen.push([rerun.isRunning, rerun.cell]));
  rerun.ended.connect(() => seen.push('ended'));
  await rerun.run();
  expect(seen.filter((one, n) => JSON.stringify(one) !== JSON.stringify(seen[n - 1]))).toEqual([
    [true, null],
    [true, 'a'],
    [true, 'b'],
    [false, null],
    'ended'
  ]);
});

it('a cell that fails ends it, with everything in place', async () => {
  const { rerun, told } = walk(
    [steps(step('execute', 'a')), steps(step('settle', null)), done({ failed: 'a' })],
    { a: 'error' }
  );
  expect(await rerun.run()).toMatchObject({ executed: 0, failed: 'a', trouble: null });
  expect(told.slice(1)).toEqual([{ ok: false }, { ok: true }]);
});

it('a cell that could not begin shows what it had shown', async () => {
  const { rerun, did } = walk(
    [
      steps(step('execute', 'b')),
      { ...steps(step('execute', 'a')), refused: true },
      steps(step('execute', 'b')),
      done()
    ],
    {}
  );
  expect(await rerun.run()).toMatchObject({ executed: 2 });
  expect(did[1]).toBe('show b former of b');
});

it('sends cells that were edited meanwhile, once', async () => {
  const { rerun, told, during, edit } = walk([
    steps(step('execute', 'a')),
    steps(step('execute', 'b')),
    done()
  ]);
  const now = { id: 'a', source: 'x = 2' };
  during.a = () => {
    edit(now);
  };
  await rerun.run();
  expect(told.slice(1)).toEqual([{ ok: true, cells: [now] }, { ok: true }]);
});

it('stops after the call that runs', async () => {
  const { rerun, server, during } = walk([steps(step('execute', 'a')), done({ failed: 'a' })], {
    a: 'error'
  });
  during.a = () => void rerun.stop();
  expect(await rerun.run()).toMatchObject({ stopped: true, failed: 'a' });
  expect(server.stopWalk).toHaveBeenCalledTimes(1);
});

it('that it is to stop is told with the next step where it could not be told at once', async () => {
  const { rerun, server, told, during } = walk([steps(step('execute', 'a')), done()]);
  server.stopWalk.mockRejectedValue(new CasaServerError('offline', 'away'));
  during.a = () => void rerun.stop();
  await rerun.run();
  expect(told[1]).toEqual({ ok: true, stop: true });
});

it('begins no cell when it is stopped while it is planned', async () => {
  const { rerun, server, did } = walk([steps(step('execute', 'a'))]);
  const run = rerun.run();
  await rerun.stop();
  expect(await run).toMatchObject({ stopped: true, executed: 0, trouble: null });
  expect([did, server.endWalk.mock.calls.length]).toEqual([[], 1]);
});

it('asks the same again while the kernel is at work', async () => {
  jest.useFakeTimers();
  const busy = new CasaServerError('busy', 'the workspace is in use', 429);
  const { rerun, told } = walk([busy, steps(step('execute', 'a')), busy, busy, done()]);
  const run = rerun.run();
  await jest.advanceTimersByTimeAsync(10_000);
  expect(await run).toMatchObject({ executed: 1, trouble: null });
  expect(told.slice(2)).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
  jest.useRealTimers();
});

it('a kernel that goes, or a refusal, ends it with words', async () => {
  const lost = walk([steps(step('execute', 'a'))], { a: 'lost' });
  expect((await lost.rerun.run())?.trouble).toBe(KERNEL_LOST);
  expect(lost.server.endWalk).toHaveBeenCalledTimes(1);
  const refused = walk([new CasaServerError('refused', 'n is being re-run in this directory', 409)]);
  expect((await refused.rerun.run())?.trouble).toBe('n is being re-run in this directory');
  expect(refused.server.endWalk).not.toHaveBeenCalled();
});

it('runs once at a time', async () => {
  const { rerun, told } = walk([steps(step('execute', 'a')), done()]);
  const run = rerun.run();
  expect(await rerun.run()).toBeNull();
  await run;
  expect(told).toHaveLength(2);
});
