import { Signal } from '@lumino/signaling';
import { Follower } from '../follow';

it('knows that a notebook is open when the cursor is in a text of it', () => {
  jest.useFakeTimers();
  const from = {};
  const cell = {
    model: { type: 'markdown', sharedModel: { changed: new Signal(from) } },
    ready: new Promise(() => undefined)
  };
  const tracker = {
    activeCellChanged: new Signal<object, void>(from),
    currentChanged: new Signal<object, void>(from),
    currentWidget: null as object | null,
    activeCell: null as object | null
  };
  const follower = new Follower(tracker as never, { changed: new Signal(from) } as never);
  follower.wanted = true;
  jest.runAllTimers();
  expect(follower.hasNotebook).toBe(false);
  const told = jest.fn();
  follower.changed.connect(told);
  Object.assign(tracker, { currentWidget: { content: { model: {} } }, activeCell: cell });
  tracker.currentChanged.emit();
  jest.runAllTimers();
  expect([follower.hasNotebook, follower.place, told.mock.calls.length]).toEqual([true, null, 1]);
});
