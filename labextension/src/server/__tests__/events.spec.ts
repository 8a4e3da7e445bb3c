import type { Event } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import { CasaEvents } from '../events';
import type { IChanges, ISessionNow, ITaggedEvent } from '../types';

const session = { workspace: 'w', kernel: 'k1', session: 's1' };
const now: ISessionNow = {
  ...session,
  notebook: 'n.ipynb',
  cell: null,
  call: null,
  display: false,
  log: 'l',
  started: 0
};
const event = (kind: string, revision: number, more: object = {}, epoch = 'e1') => ({
  schema_id: `urn:jupyterlab-casa:event:${kind}:1`,
  epoch,
  revision,
  time: 0,
  ...session,
  ...more
});
const cell = (revision: number, id: string | null) =>
  event('cell', revision, { action: id ? 'started' : 'ended', cell: id, notebook: 'n.ipynb' });

function follow(...answers: (Partial<IChanges> | Error)[]) {
  const stream = new Signal<object, Event.Emission>({});
  const asked: (string | undefined)[] = [];
  const changes = (since?: string) => {
    asked.push(since);
    const answer = answers.shift() ?? new Error('away');
    return answer instanceof Error
      ? Promise.reject(answer)
      : Promise.resolve({
          schema: 1 as const,
          epoch: 'e1',
          revision: 0,
          events: null,
          state: null,
          ...answer
        });
  };
  const events = new CasaEvents(stream, { changes });
  open.push(events);
  const seen: string[] = [];
  events.happened.connect((_, { kind, data }) => seen.push(`${kind} ${String(data.revision)}`));
  events.restarted.connect(() => seen.push('restarted'));
  const tell = (...told: ITaggedEvent[]) => {
    told.forEach(one => {
      stream.emit(one as unknown as Event.Emission);
    });
  };
  return { events, asked, seen, tell };
}
const open: CasaEvents[] = [];
const state = { kernels: [now], notebooks: [], logs: [], stores: [] };
const rest = () => jest.advanceTimersByTimeAsync(0);

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  open.splice(0).forEach(events => {
    events.dispose();
  });
  jest.useRealTimers();
});

it('begins with what is so now, and goes on with events', async () => {
  const { events, seen, tell } = follow({ revision: 7, state });
  tell(cell(7, 'old'), cell(8, 'a')); // before the answer
  await rest();
  expect(seen).toEqual(['restarted', 'cell 8']);
  expect(events.kernel('k1')?.cell).toBe('a');
  const call = { action: 'started', task: 'tclean', cell: 'a', stage: '', elapsed_s: 0, expected_s: 27 };
  tell(event('call', 9, call), event('call', 10, { ...call, action: 'progressed', stage: 'Major Cycle 2' }));
  expect(events.kernel('k1')?.call?.stage).toBe('Major Cycle 2');
  tell(event('call', 11, { ...call, action: 'ended' }), cell(12, null));
  expect(events.kernel('k1')).toMatchObject({ cell: null, call: null });
  tell(event('kernel', 13, { action: 'ended' }));
  expect(events.kernel('k1')).toBeNull();
  expect(seen).toEqual(['restarted', 'cell 8', 'call 9', 'call 10', 'call 11', 'cell 12', 'kernel 13']);
});

it('asks for what it has missed', async () => {
  const { asked, seen, tell } = follow(
    { revision: 7, state },
    { revision: 10, events: [cell(8, 'a'), cell(9, null), cell(10, 'b')] }
  );
  await rest();
  tell(cell(10, 'b'));
  tell(cell(11, null));
  await rest();
  expect(asked).toEqual([undefined, 'e1.7']);
  expect(seen).toEqual(['restarted', 'cell 8', 'cell 9', 'cell 10', 'cell 11']);
});

it('after a restart of the server all is looked at again', async () => {
  const { events, seen, tell } = follow(
    { revision: 7, state },
    { epoch: 'e2', revision: 2, state: { ...state, kernels: [] } }
  );
  await rest();
  tell(event('kernel', 2, { action: 'started' }, 'e2'));
  await rest();
  expect(seen).toEqual(['restarted', 'restarted']);
  expect(events.kernel('k1')).toBeNull();
});

it('looks by itself, as a connection may be dead without a word', async () => {
  const { asked, seen } = follow({ revision: 7, state }, new Error('away'), {
    revision: 8,
    events: [cell(8, 'a')]
  });
  await rest();
  await jest.advanceTimersByTimeAsync(31_000);
  expect(asked).toEqual([undefined, 'e1.7', 'e1.7']);
  expect(seen).toEqual(['restarted', 'cell 8']);
});

it('while the server is away nothing is asked in a hurry', async () => {
  const { asked, tell } = follow({ revision: 7, state });
  await rest();
  tell(cell(10, 'b'), cell(11, null));
  await rest();
  expect(asked).toHaveLength(2);
  await jest.advanceTimersByTimeAsync(31_000);
  expect(asked).toHaveLength(4);
});

it('asks nothing of a server that cannot answer, until it can', async () => {
  const stream = new Signal<object, Event.Emission>({});
  const changes = jest.fn(() => Promise.reject(new Error('missing')));
  let ready = false;
  const events = new CasaEvents(stream, { changes }, () => ready);
  open.push(events);
  stream.emit(cell(3, 'a'));
  await jest.advanceTimersByTimeAsync(60_000);
  expect(changes).not.toHaveBeenCalled();
  ready = true;
  await events.look();
  expect(changes).toHaveBeenCalledTimes(1);
});

it('leaves what is not ours alone', async () => {
  const { seen, tell } = follow({ revision: 7, state });
  await rest();
  tell({ ...cell(8, 'a'), schema_id: 'https://events.jupyter.org/jupyter_server/kernel_actions/v1' });
  expect(seen).toEqual(['restarted']);
});
