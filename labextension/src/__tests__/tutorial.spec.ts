import type { ITutorial } from '../server/types';

import { beginTutorial } from '../tutorial';

const answer = (path: string, changed: string[] = []): ITutorial => ({
  schema: 1,
  path,
  written: !changed.length,
  changed
});

function server(first: ITutorial) {
  const asked: [string, boolean][] = [];
  return {
    asked,
    tutorial: (path: string, beside = false) => {
      asked.push([path, beside]);
      return Promise.resolve(beside ? answer('w/NGC5921-2/NGC5921.ipynb') : first);
    }
  };
}

it('is opened where it was written, and nobody is asked', async () => {
  const api = server(answer('w/NGC5921.ipynb'));
  const ask = jest.fn();
  expect(await beginTutorial(api, 'w', ask)).toBe('w/NGC5921.ipynb');
  expect([api.asked, ask.mock.calls]).toEqual([[['w', false]], []]);
});

it.each([
  ['open', 'w/NGC5921.ipynb', 1],
  ['beside', 'w/NGC5921-2/NGC5921.ipynb', 2],
  [null, null, 1]
] as const)('one that was changed: %s', async (wanted, path, requests) => {
  const api = server(answer('w/NGC5921.ipynb', ['NGC5921.ipynb']));
  expect(await beginTutorial(api, 'w', () => Promise.resolve(wanted))).toBe(path);
  expect(api.asked).toHaveLength(requests);
});
